"use strict";
// A passkey on this page (docs/flows/passkey.md, steps 3 to 6). Words are the page's; here is only what happens.

/** Asked of the browser, never guessed from its name: embedded web views often have no WebAuthn. */
const isSupported = () =>
  Boolean(window.PublicKeyCredential && navigator.credentials && navigator.credentials.get);

/**
 * Ask the device to sign what the page brought along, and the server to check it. The device is asked before anything
 * is waited for: Safari has forgotten the person's press after that.
 *
 * Returns "accepted", "stopped" (cancelled, timed out, no such key here: browsers do not say which), "refused", or
 * "changed" when the page is no longer true. Throws without a network.
 */
async function usePasskey(form) {
  let made;
  try {
    made = await navigator.credentials.get({ publicKey: options(form.dataset) });
  } catch (error) {
    return "stopped";
  }
  const fields = new URLSearchParams({
    csrf: new FormData(form).get("csrf"),
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
  timeout: Number(timeout),
  allowCredentials: [],
  userVerification: "required",
});

function toBase64url(octets) {
  const text = String.fromCharCode(...new Uint8Array(octets));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

const fromBase64url = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
