// Lists that search, filter and turn their pages without loading the page anew, with htmx. Without this file the same
// forms and links work as forms and links. Words are the page's.

import htmx from "./htmx.js";

/**
 * What arrives may bring no script and runs none: htmx would make new script elements of those in an answer, and
 * functions of texts in attributes. The page's policy lets only this one make markup from text.
 */
function withoutScripts(html) {
  const left = html.replace(/<script\b[^>]*>[\s\S]*?<\/script\s*>/gi, "");
  if (/<script\b/i.test(left)) throw new TypeError("a script in a list");
  return left;
}
function refuse() {
  throw new TypeError("a list runs no text");
}
const rules = { createHTML: withoutScripts, createScript: refuse };
const policy = window.trustedTypes ? window.trustedTypes.createPolicy("blok365-lists", rules) : rules;
htmx.registerExtension("blok365-lists", { init: (api) => api.initSecurity(policy, refuse, refuse) });

/** Anything but the list itself is loaded as a page: the sign-in when the session is over, what is wrong, no network. */
function load(ctx) {
  if (ctx?.request) window.location.assign(ctx.request.action);
}
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.raw.ok && !ctx.response.raw.redirected) return;
  event.preventDefault();
  load(ctx);
});
document.addEventListener("htmx:error", (event) => load(event.detail.ctx));

/**
 * Times as on every page; the session lasts longer now; and whoever turned a page by a link that is gone is at the
 * beginning of the list.
 */
document.addEventListener("htmx:after:swap", (event) => {
  const left = /data-ends-in="(\d+)"/.exec(event.detail.ctx.text);
  if (left) document.dispatchEvent(new CustomEvent("session", { detail: Number(left[1]) }));
  const results = document.getElementById("results");
  for (const time of results.querySelectorAll("time[datetime]")) time.dispatchEvent(new Event("dated", { bubbles: true }));
  if (document.activeElement === document.body) results.focus();
});
