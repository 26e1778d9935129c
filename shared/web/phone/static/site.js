// Where this page is. It is served at `key.` before the sign-in host, whose name is the WebAuthn RP ID. All of this comes
// from the address that the browser shows, never from an answer of the API.

const withoutKey = (host) => host.replace(/^key\./, "");

export const origin = location.origin;
export const rpId = withoutKey(location.hostname);
export const signInOrigin = `${location.protocol}//${withoutKey(location.host)}`;
