"use strict";
// Fetching a page of ours and exchanging <main>.

// Under Trusted Types this is the only place where text becomes markup, and only a page of our own origin does.
const plain = { createHTML: (html) => html };
const policy = window.trustedTypes ? window.trustedTypes.createPolicy("blok365", plain) : plain;

/**
 * Get a page, or post a form and take the page after it: the server gives it at once to whoever asks this way, and
 * sends browsers without scripts there by a redirect. Returns the parsed document. Where the browser's session is
 * enough, the server has no page for a script: the browser itself goes there, and gets the token.
 * Throws on a network error, after 10 s, and when the answer is no page or not ours.
 */
async function fetchPage(url, form = undefined) {
  const limit = timeLimit();
  try {
    const response = await fetch(url, {
      method: form ? "POST" : "GET",
      body: form,
      headers: { Accept: "text/html", "X-Requested-With": "fetch" },
      credentials: "same-origin",
      cache: "no-store",
      signal: limit.signal,
    });
    const ours = new URL(response.url).origin === window.location.origin;
    if (ours && response.status === 204) {
      window.location.replace(response.url);
      return new Promise(() => {}); // this page is about to go
    }
    const kind = response.headers.get("Content-Type") || "";
    if (!ours || !kind.startsWith("text/html")) throw new Error("not a page");
    return new DOMParser().parseFromString(policy.createHTML(await response.text()), "text/html");
  } finally {
    limit.end();
  }
}

/**
 * Post a form's fields and take the JSON that comes back: `[status, answer]`. Throws on a network error, after 10 s,
 * and when the server says that it cannot just now.
 */
async function postForJson(url, fields) {
  const limit = timeLimit();
  try {
    const response = await fetch(url, {
      method: "POST",
      body: fields,
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      cache: "no-store",
      signal: limit.signal,
    });
    if (response.status >= 500) throw new Error("not just now");
    return [response.status, await response.json()];
  } finally {
    limit.end();
  }
}

/** Aborts a request after 10 s, unless it is ended before. */
function timeLimit() {
  const abort = new AbortController();
  const timeout = setTimeout(() => abort.abort(), 10000);
  return { signal: abort.signal, end: () => clearTimeout(timeout) };
}

/**
 * Put the other document's <main> in place of ours and move the focus to its heading. `quiet` keeps the focus
 * where it was (on the same control, where there still is one). `drawn` is called before the focus moves.
 */
function show(next, { quiet = false, drawn = () => {} } = {}) {
  const main = document.querySelector("main");
  const held = quiet && main.contains(document.activeElement) ? place(main, document.activeElement) : -1;
  const open = quiet ? [...main.querySelectorAll("details")].map((each) => each.open) : [];
  while (main.firstChild) main.removeChild(main.firstChild);
  main.append(...document.adoptNode(next.querySelector("main")).childNodes);
  document.title = next.title;
  drawn();
  const details = main.querySelectorAll("details");
  if (open.length === details.length) open.forEach((was, each) => { details[each].open = was; });
  const target = quiet ? controls(main)[held] : main.querySelector("h1");
  if (target) target.focus({ preventScroll: quiet });
}

const controls = (main) => [...main.querySelectorAll("h1, a, button, input, summary")];
const place = (main, element) => controls(main).indexOf(element);
