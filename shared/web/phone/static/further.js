// A further phone (docs/flows/further-phone.md). The screen `offer` is of the phone that the person has: it shows a code,
// and endorses the key that comes. The screen `joining` is of the new one: it shows six digits, and waits.
//
// The secret of an offer is in the code alone. What the API says of the new key is signed only if that secret has signed
// it and the person has typed the digits that are made from it, so no server can have a key of its own endorsed.

import { Refused, call } from "./api.js";
import { NEW_KEY, endorse, isEndorsed, make, makeSeed, named, sign } from "./authenticator.js";
import { fromBase64url, sha256, toBase64url } from "./octets.js";
import { app, make as element, move, remark, say, shown, speak, within, word } from "./screens.js";
import { origin } from "./site.js";
import { makeStatement } from "./statement.js";
import { keep } from "./storage.js";

const TEXT = /^[A-Za-z0-9_-]{1,2048}$/; // base64url

let offered = null; // of this phone: {id, publicKey, entry, nonce, tenant, account, link}
let given = null; // of another phone, from its code: {id, seed}
let begun = null; // the API's answer to that
let joined = null; // {id, entry}: this phone's key was brought, and waits

// the phone that the person has

/** Show a code that a new phone may scan, for that account. */
export async function offer(entry) {
  const { seed, publicKey } = await makeSeed();
  const made = await call("POST", "/offers", {}, entry);
  const { id, tenant, account, server_nonce: nonce } = made;
  if (![id, tenant, account, nonce].every((each) => typeof each === "string")) throw new Refused(0, "other");
  offered = { id, publicKey, entry, nonce, tenant, account, link: `${origin}/#p=${id}.${seed}` };
  within("offer", "form").reset();
  within("offer", "[data-of-account]").textContent = entry.account;
  await draw(offered.link);
  move("offer");
}

/** The code as a picture. Without the program that draws it there is the link, to be sent to the new phone. */
async function draw(text) {
  const { encodeQR } = await import("./qr.js").catch(() => ({}));
  const place = within("offer", "[data-picture]");
  place.hidden = typeof encodeQR !== "function";
  if (place.hidden) return;
  const rows = encodeQR(text, "raw", { ecc: "medium", border: 4 });
  const path = rows.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  const picture = place.querySelector("svg");
  picture.setAttribute("viewBox", `0 0 ${rows.length} ${rows.length}`);
  picture.querySelector("path").setAttribute("d", path);
}

/** The person has typed the digits: if they are those of the key that came, this phone's key vouches for it. */
export async function confirm(form) {
  const { id, publicKey, entry, nonce, tenant, account } = offered;
  const typed = form.elements.digits.value.replaceAll(/[\s-]/g, "");
  if (!/^[0-9]{6}$/.test(typed)) return stay("digits_needed");
  const found = await call("GET", `/offers/${encodeURIComponent(id)}`, undefined, entry);
  if (found.state === "open") return stay("no_phone_yet");
  if (found.state !== "taken") throw new Refused(410, "offer");
  const said = [found.credential_id, found.public_key, found.endorsement];
  if (!said.every((each) => TEXT.test(each))) throw new Refused(0, "other");
  const key = toBase64url(await sha256(fromBase64url(found.public_key)));
  const fields = { tenant, account, invitation: id, credential_id: found.credential_id, public_key_sha256: key };
  const scanned = await isEndorsed(publicKey, found.endorsement, NEW_KEY, fields);
  const digest = await sha256(named(NEW_KEY, fields));
  if (!scanned || typed !== digits(digest)) return stay("digits_wrong");
  const more = { new_key: toBase64url(digest), made_at: new Date().toISOString() };
  const { text, challenge } = await makeStatement("endorse", nonce, more);
  const credential = await sign(challenge, [entry.credential]);
  await call("POST", `/offers/${encodeURIComponent(id)}/endorse`, { statement: text, credential }, entry);
  offered = null;
  say("phone_added");
}

function stay(key) {
  remark(word(key));
  speak(word(key));
}

/** Six digits of a key, as `NewDeviceKey.code` makes them: its first six octets, a whole number below 2^48. */
function digits(digest) {
  const number = [...new Uint8Array(digest).slice(0, 6)].reduce((sum, octet) => sum * 256 + octet, 0);
  return String(number % 1_000_000).padStart(6, "0");
}

export const copyLink = () => navigator.clipboard.writeText(offered.link).then(() => speak(word("copied")));

// the new phone

/** Take an offer from a code or a link. */
export function take(value) {
  const [id, seed = ""] = value.split(".");
  given = { id, seed };
  joined = null;
}

export const isOffered = () => given !== null;

/** Show whose phone this is to become. Nothing is spent by asking. */
export async function present() {
  begun = await call("POST", `/offers/${encodeURIComponent(given.id)}/begin`, {});
  for (const place of app.querySelectorAll('[data-view="invited"] [data-of]')) place.textContent = begun[place.dataset.of];
  move("invited");
}

export function drop() {
  given = begun = null;
}

/** Make this phone's key and bring it; then the other phone decides. */
export async function bring(form) {
  const { id, seed } = given;
  const { text, challenge } = await makeStatement("enrol", begun.server_nonce);
  const made = await make(begun, challenge);
  const key = toBase64url(await sha256(made.publicKey));
  const { tenant, account } = begun;
  const fields = { tenant, account, invitation: id, credential_id: made.credential.id, public_key_sha256: key };
  const endorsement = await endorse(seed, NEW_KEY, fields);
  const name = form.elements.name.value;
  const body = { statement: text, credential: made.credential, endorsement, name };
  await call("POST", `/offers/${encodeURIComponent(id)}/key`, body);
  const names = { account: String(begun.upn), organisation: String(begun.organisation) };
  joined = { id, entry: { credential: made.credential.id, token: null, ...names } };
  drawDigits(digits(await sha256(named(NEW_KEY, fields))));
  drop();
  move("joining");
}

/** In two groups, as the code of a sign-in is; what is copied holds plain digits. */
function drawDigits(text) {
  const group = (part) => element("span", { className: "group", textContent: part });
  within("joining", "[data-digits]").replaceChildren(group(text.slice(0, 3)), group(text.slice(3)));
}

/** While the digits are shown: whether the other phone has endorsed this one. */
export async function wait() {
  if (shown() !== "joining" || joined === null) return;
  const { state } = await call("POST", `/offers/${encodeURIComponent(joined.id)}/state`, {});
  if (shown() !== "joining" || joined === null) return;
  if (state === "done") {
    await keep(joined.entry);
    joined = null;
    say("enrolled");
  } else if (state === "over") {
    joined = null;
    say("offer");
  }
}
