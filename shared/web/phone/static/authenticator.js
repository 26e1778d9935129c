// The phone's key, through WebAuthn. What is signed and for which RP ID is decided in this page, not by the API.

import { canonical } from "./canonical.js";
import { fromBase64url, toBase64url, utf8 } from "./octets.js";
import { rpId } from "./site.js";

const ES256 = -7;
const EDDSA = -8;
const RS256 = -257; // without it Chromium warns

/**
 * What this phone lacks to hold and use a key: `browser` (an app's built-in browser often has no WebAuthn), `lock` (no
 * PIN, finger or face to unlock a key with; some built-in browsers say so too), or nothing: an empty text.
 */
export async function whatIsMissing() {
  if (!window.PublicKeyCredential || !window.crypto?.subtle) return "browser";
  const can = await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable().catch(() => false);
  return can ? "" : "lock";
}

/**
 * Make a key for the account that `begun` names, over a challenge of ours. Returns the credential as JSON and its public
 * key (DER SubjectPublicKeyInfo).
 */
export async function make(begun, challenge) {
  const publicKey = {
    rp: { id: rpId, name: "Blok365" },
    user: { id: fromBase64url(begun.user_handle), name: begun.upn, displayName: begun.display_name },
    challenge,
    pubKeyCredParams: [ES256, EDDSA, RS256].map((alg) => ({ type: "public-key", alg })),
    excludeCredentials: begun.exclude.map((id) => ({ type: "public-key", id: fromBase64url(id) })),
    authenticatorSelection: {
      authenticatorAttachment: "platform",
      residentKey: "preferred",
      requireResidentKey: false,
      userVerification: "required",
    },
    attestation: "none",
    timeout: 300_000,
  };
  const made = await navigator.credentials.create({ publicKey });
  const response = {
    clientDataJSON: toBase64url(made.response.clientDataJSON),
    attestationObject: toBase64url(made.response.attestationObject),
  };
  return { credential: plain(made, response), publicKey: made.response.getPublicKey() };
}

/** Sign a challenge of ours with user verification. `known`: ids of the keys that may; none means any of this phone's. */
export async function sign(challenge, known) {
  const allowCredentials = known.map((id) => ({ type: "public-key", id: fromBase64url(id), transports: ["internal"] }));
  const used = await navigator.credentials.get({
    publicKey: { challenge, rpId, allowCredentials, userVerification: "required", timeout: 120_000 },
  });
  return plain(used, {
    clientDataJSON: toBase64url(used.response.clientDataJSON),
    authenticatorData: toBase64url(used.response.authenticatorData),
    signature: toBase64url(used.response.signature),
  });
}

function plain(credential, response) {
  return { id: credential.id, rawId: toBase64url(credential.rawId), type: credential.type, response };
}

// PKCS #8 of an Ed25519 private key (RFC 8410 section 7) up to the seed
const PKCS8_ED25519 = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/** What an invitation vouches for (shared/crypto/enrolment.py): the new key, and its first session. */
export const NEW_KEY = "blok365.device-enrolment";
export const FIRST_SESSION = "blok365.first-session";

/**
 * The invitation's signature over `fields`, as one of the two types above. The seed comes from the link's fragment and
 * never leaves this page. Throws where WebCrypto has no Ed25519.
 */
export async function endorse(seed, typ, fields) {
  const octets = new Uint8Array([...PKCS8_ED25519, ...fromBase64url(seed)]);
  const key = await crypto.subtle.importKey("pkcs8", octets, { name: "Ed25519" }, false, ["sign"]);
  return toBase64url(await crypto.subtle.sign("Ed25519", key, named(typ, fields)));
}

/**
 * A key for a link of this phone's own: `{seed, publicKey}`. Whether the seed has signed something is verified with the
 * public half: two signatures of the same octets differ in Safari, so they cannot be compared. Throws as `endorse` does.
 */
export async function makeSeed() {
  const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  const { d: seed } = await crypto.subtle.exportKey("jwk", privateKey);
  return { seed, publicKey };
}

/** Whether the seed of that public key has signed `fields`; `signature` in base64url. */
export const isEndorsed = (publicKey, signature, typ, fields) =>
  crypto.subtle.verify("Ed25519", publicKey, fromBase64url(signature), named(typ, fields));

/** The octets that name a new key, or a first session. */
export const named = (typ, fields) => utf8(canonical({ v: 1, typ, ...fields }));

/** Whether `endorse` can work here: asked before a key is made in vain. */
export async function canEndorse() {
  try {
    const probe = new Uint8Array([...PKCS8_ED25519, ...new Uint8Array(32)]);
    await crypto.subtle.importKey("pkcs8", probe, { name: "Ed25519" }, false, ["sign"]);
    return true;
  } catch {
    return false;
  }
}
