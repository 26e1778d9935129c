// The phone's API. Every failure is a Refused with the server's code.
//
// The session is a bearer token, so no cookie goes along. What comes back is data: it is shown as text and nothing of it
// is signed unless this page knows what it means (request.js, statement.js).

import { forgetToken } from "./storage.js";

const TIMEOUT = 20_000;

export class Refused extends Error {
  /** `account`: whose session asked, or null. */
  constructor(status, code, account = null) {
    super(code);
    this.status = status;
    this.code = code;
    this.account = account;
  }
}

/**
 * Send JSON, get JSON. `account`: whose session asks (storage.js). Throws Refused; code `unavailable` when there was no
 * answer.
 */
export async function call(method, path, body = undefined, account = null) {
  const headers = { "Accept-Language": document.documentElement.lang }; // the page's, which may not be the browser's
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (account?.token) headers.Authorization = `Bearer ${account.token}`;
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      redirect: "error",
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch {
    throw new Refused(0, "unavailable", account);
  }
  if (response.status === 204) return {};
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null && typeof answer === "object") return answer;
  const code = typeof answer?.code === "string" ? answer.code : "other";
  if (response.status === 401 && account !== null) await forgetToken(account);
  throw new Refused(response.status, code, account);
}
