// What this phone states when it signs for anything but a sign-in (shared/crypto/statement.py).
//
// The octets that are signed are never the API's choice: the text is put together here, says what it is for, and has a
// nonce of this phone's own in it. So what unlocks BlokKey can be no approval, whatever nonce the API sends.

import { Refused } from "./api.js";
import { canonical } from "./canonical.js";
import { sha256, toBase64url, utf8 } from "./octets.js";
import { origin, rpId } from "./site.js";

/** `{text, challenge}` for that purpose, with the API's nonce. `more`: `{device}` for `remove`, `{new_key, made_at}` for `endorse`. */
export async function makeStatement(purpose, serverNonce, more = {}) {
  if (typeof serverNonce !== "string") throw new Refused(0, "other");
  const nonce = toBase64url(crypto.getRandomValues(new Uint8Array(32)));
  const text = canonical({ ...more, v: 1, purpose, origin, rp_id: rpId, nonce, server_nonce: serverNonce });
  return { text, challenge: await sha256(utf8(text)) };
}
