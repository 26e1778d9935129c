// The text of a request, which is what this phone shows and signs (services/wsfed/domain/context.py).
//
// A taken-over API can answer anything. Only a text whose every field is known here is shown, and only if it says that it
// is to approve a sign-in at our own sign-in page; whatever is signed was therefore seen. With the code put in it is
// another text than any statement, and no passkey's on the sign-in page.

import { Refused } from "./api.js";
import { signInOrigin } from "./site.js";

const VERSION = 2;
const FIELDS = {
  account: "string",
  address: "string",
  agent: "string",
  application: "string",
  application_name: "string",
  challenge: "string",
  code_required: "boolean",
  expires_at: "string",
  issued_at: "string",
  known_browser: "boolean",
  method: "string",
  nonce: "string",
  organisation: "string",
  origin: "string",
  place: "string",
  purpose: "string",
  realm: "string",
  tenant: "string",
  transaction: "string",
  upn: "string",
  v: "number",
};

/** The fields of a context. Throws Refused with the code `not_shown` for any other text. */
export function readContext(text) {
  const facts = parse(text);
  if (!isKnown(facts) || facts.v !== VERSION || facts.purpose !== "approve" || facts.origin !== signInOrigin) {
    throw new Refused(0, "not_shown");
  }
  return facts;
}

/** Whether it is a test sign-in, whose token goes to nobody (docs/flows/try-it.md). Its relying party says so. */
export const isTrial = (facts) => facts.realm === `${signInOrigin}/t/${facts.tenant}/try`;

/** Whether the request's text can be shown. */
export function isReadable(request) {
  try {
    return Boolean(readContext(request.context));
  } catch {
    return false;
  }
}

/** Exactly our fields, each of its kind. */
function isKnown(facts) {
  const names = Object.keys(FIELDS);
  return Object.keys(facts ?? {}).sort().join() === names.join() && names.every((name) => typeof facts[name] === FIELDS[name]);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
