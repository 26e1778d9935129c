// A relying party of its own: reads {wresult, wctx, certificate, realm} as JSON from standard input, lets
// passport-wsfed-saml2 judge the posted form, and writes {accepted, profile | reason} as JSON.
// `certificate` is base64 DER. Exit code 0 means that it judged, not that it accepted.
"use strict";

const { Strategy } = require("passport-wsfed-saml2");

function judge({ wresult, wctx, certificate, realm }, done) {
  const strategy = new Strategy(
    { realm, cert: certificate, identityProviderUrl: "https://idp.example/", clockSkew: 0 },
    (profile, verified) => verified(null, profile),
  );
  const refuse = (reason) => done({ accepted: false, reason: String((reason && reason.message) || reason) });
  strategy.success = (profile) => done({ accepted: true, profile });
  strategy.fail = refuse;
  strategy.error = refuse;
  const request = {
    method: "POST",
    protocol: "https",
    originalUrl: "/login.srf",
    get: () => "rp.example",
    body: { wa: "wsignin1.0", wresult, wctx },
  };
  try {
    strategy.authenticate(request, {});
  } catch (error) {
    refuse(error);
  }
}

let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => judge(JSON.parse(input), (answer) => process.stdout.write(JSON.stringify(answer))));
