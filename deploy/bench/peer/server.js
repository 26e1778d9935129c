// The peer of sso_reissue_vs_node_wsfed: npm wsfed under Express, with a token for a fixed user and nothing kept.
// Arguments: port, path of the key (PEM), path of the certificate (PEM).

const { readFileSync } = require("node:fs");
const express = require("express");
const wsfed = require("wsfed");

const [port, key, certificate] = process.argv.slice(2);
const claims = {
  "http://schemas.xmlsoap.org/claims/UPN": "person.0000000@contoso.example",
  "http://schemas.microsoft.com/LiveID/Federation/2008/05/ImmutableID": "0123456789abcdef0123456789abcdef",
  "http://schemas.microsoft.com/claims/authnmethodsreferences": "http://schemas.microsoft.com/claims/multipleauthn",
  "http://schemas.microsoft.com/ws/2008/06/identity/claims/authenticationmethod":
    "http://schemas.microsoft.com/claims/multipleauthn",
};
const profile = {
  getClaims: () => claims,
  getNameIdentifier: () => ({ nameIdentifier: "0123456789abcdef0123456789abcdef" }),
};

const app = express();
app.disable("x-powered-by");
app.get(
  "/t/:tenant/wsfed",
  wsfed.auth({
    issuer: "http://contoso.example/blok365/issuer",
    key: readFileSync(key),
    cert: readFileSync(certificate),
    signatureAlgorithm: "rsa-sha256",
    digestAlgorithm: "sha256",
    lifetime: 600,
    getPostURL: (wtrealm, wreply, request, callback) => callback(null, "https://login.microsoftonline.com/login.srf"),
    getUserFromRequest: () => profile,
    profileMapper: (user) => user,
  }),
);
const server = app.listen(Number(port), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
server.keepAliveTimeout = 60_000; // it waits while the other side has its turn
