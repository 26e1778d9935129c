// A passkey on this page (docs/flows/passkey.md, steps 2 to 7). Words are the page's; here is only what happens.

import { postForJson } from "./page.js";

/** Asked of the browser, never guessed from its name: embedded web views often have no WebAuthn. */
export const isSupported = () => Boolean(window.PublicKeyCredential && navigator.credentials?.get);

/**
 * Ask the server what to sign, the device to sign it, the server to check it.
 *
 * Returns "accepted", "stopped" (cancelled, timed out, no such key here: browsers do not say which), "refused", or
 * "changed" when the page is no longer true. `asking` is called before the system's dialog. Throws without a network.
 */
export async function usePasskey(form, asking) {
  const csrf = new FormData(form).get("csrf");
  const [ready, asked] = await postForJson(`${form.action}/challenge`, new URLSearchParams({ csrf }));
  if (ready !== 200) return "changed";
  asking();
  let made;
  try {
    made = await navigator.credentials.get({ publicKey: options(asked) });
  } catch {
    return "stopped";
  }
  const fields = new URLSearchParams({
    csrf,
    credential_id: toBase64url(made.rawId),
    authenticator_data: toBase64url(made.response.authenticatorData),
    client_data_json: toBase64url(made.response.clientDataJSON),
    signature: toBase64url(made.response.signature),
  });
  const [status, answer] = await postForJson(form.action, fields);
  if (status === 200) return "accepted";
  return answer.code === "passkey_refused" ? "refused" : "changed";
}

// No list of keys: it would tell a stranger whether there is such an account. The device knows which it has.
const options = ({ challenge, rpId, timeout }) => ({
  challenge: fromBase64url(challenge),
  rpId,
  timeout,
  allowCredentials: [],
  userVerification: "required",
});

function toBase64url(octets) {
  const text = String.fromCharCode(...new Uint8Array(octets));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const fromBase64url = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
