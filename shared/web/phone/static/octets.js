// Octets as they travel in our JSON: base64url without padding.

export const utf8 = (text) => new TextEncoder().encode(text);

export function toBase64url(octets) {
  const text = String.fromCharCode(...new Uint8Array(octets));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Throws on anything that is not base64url. */
export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

export const sha256 = (octets) => crypto.subtle.digest("SHA-256", octets);
