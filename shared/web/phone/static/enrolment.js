// The screen `invited`: what the invitation is for, and the new key (docs/flows/enrolment.md).

import { Refused, call } from "./api.js";
import { FIRST_SESSION, NEW_KEY, endorse, make } from "./authenticator.js";
import { sha256, toBase64url, utf8 } from "./octets.js";
import { app, move, remark, say, word } from "./screens.js";
import { makeStatement } from "./statement.js";
import { keep } from "./storage.js";

const KEPT = "invitation"; // in this tab, until it is used or refused: a reload before "Set up" loses nothing
const FRESH = 120_000; // ms that the API's nonce is used after it came
const ASK_AGAIN = [1_000, 3_000]; // ms after an answer that did not come

let invitation = null; // {id, seed}
let refused = null; // the id of the one whose link no longer works
let begun = null; // the API's answer, and when it came
let unfinished = null; // {path, body, entry}: a key that the server may know already, sent as it was until it answers

/** Take the invitation from a link's fragment; it is used before anything that was kept. */
export function take(value) {
  const [id, seed = ""] = value.split(".");
  invitation = { id, seed };
  begun = unfinished = null;
  try {
    sessionStorage.setItem(KEPT, value);
  } catch {
    // It lasts as long as the page.
  }
}

/** Whether there is an invitation, from a link or from before a reload. */
export function isInvited() {
  if (invitation === null) {
    try {
      const kept = sessionStorage.getItem(KEPT);
      if (kept !== null) take(kept);
    } catch {
      // This browser keeps nothing.
    }
  }
  return invitation !== null;
}

/** The invitation is used, refused or not wanted now. The link in the mail is as good as it was. */
export function drop() {
  invitation = begun = unfinished = null;
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // Nothing was kept.
  }
}

/** Show whose phone this is to become. Nothing is spent by asking; a link that no longer works is said at once. */
export async function present() {
  await ask();
  for (const place of app.querySelectorAll('[data-view="invited"] [data-of]')) place.textContent = begun[place.dataset.of];
  move("invited");
}

async function ask() {
  const answer = await call("POST", "/enrolments", { invitation: invitation.id });
  const same = begun === null || (answer.tenant === begun.tenant && answer.account === begun.account);
  if (!same) throw new Refused(0, "other"); // what was shown is not what would be signed
  begun = { ...answer, came: performance.now() };
}

/** The link no longer works: it is dropped, and a new one can be asked for. */
export function isOver() {
  refused = invitation?.id ?? refused;
  drop();
}

/** A new link to the same address, if there may be one. Nobody is told here whether there was. */
export async function askForNewLink() {
  try {
    await call("POST", "/new-links", { invitation: refused });
  } catch (error) {
    if (error.code !== "unavailable") throw error;
    return remark(word("not_sent"));
  }
  say("new_link");
}

export async function enrol(form) {
  if (performance.now() - begun.came > FRESH) await ask();
  const { text, challenge } = await makeStatement("enrol", begun.server_nonce);
  const made = await make(begun, challenge);
  const { tenant, account } = begun;
  const of = { tenant, account, invitation: invitation.id, credential_id: made.credential.id };
  const keyDigest = toBase64url(await sha256(made.publicKey));
  const endorsement = await endorse(invitation.seed, NEW_KEY, { ...of, public_key_sha256: keyDigest });
  // The session's token is drawn here and never sent with the key, and the invitation signs its digest: whoever copies
  // this request gets nothing to use, and whoever sends it first cannot put a session of his own into it. It is used
  // with the key's id before it: somebody else's session of the same digest, of another account, is not found by it.
  const token = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const session = toBase64url(await sha256(utf8(token)));
  const signature = await endorse(invitation.seed, FIRST_SESSION, { ...of, session_sha256: session });
  const asked = { session, session_signature: signature };
  const name = form.elements.name.value;
  const body = { statement: text, credential: made.credential, endorsement, name, ...asked };
  const names = { account: String(begun.upn), organisation: String(begun.organisation) };
  const entry = { credential: made.credential.id, token: `${made.credential.id}.${token}`, ...names };
  unfinished = { path: `/enrolments/${encodeURIComponent(begun.id)}`, body, entry };
  begun = null; // each key has a nonce of its own
  return finish();
}

/** Go on after a failure: with the key that the server may know already, or from the beginning. */
export const retry = () => (unfinished === null ? present() : finish());

/** Send what was made; the same request again gets the same answer. Sessions of an older key of the account end. */
async function finish() {
  const { path, body, entry } = unfinished;
  for (const wait of [...ASK_AGAIN, null]) {
    try {
      await call("POST", path, body);
      break;
    } catch (error) {
      if (error.code !== "unavailable") unfinished = null;
      if (unfinished === null || wait === null) throw error;
      await new Promise((resume) => setTimeout(resume, wait));
    }
  }
  for (const older of await keep(entry)) await call("DELETE", "/sessions", undefined, older).catch(() => {});
  drop();
  return say("enrolled", { about: [entry.account, entry.organisation] });
}
