// What the console's pages do more where scripts run. Everything works without them. Words are the page's.

const page = document.getElementById("page");

/** Times in the reader's zone, which stands beside them; the time in UTC stays as the tooltip. Days stay days. */
const language = document.documentElement.lang;
const locale = navigator.language.startsWith(language) ? navigator.language : language;
const DAY = { day: "numeric", month: "short", year: "numeric" };
const MOMENT = { ...DAY, hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
function localise(time) {
  const isMoment = time.dateTime.includes("T");
  if (isMoment) time.title = time.textContent || time.dateTime;
  const format = isMoment ? MOMENT : { ...DAY, timeZone: "UTC" };
  time.textContent = new Intl.DateTimeFormat(locale, format).format(new Date(time.dateTime));
}
for (const time of document.querySelectorAll("time[datetime]")) localise(time);
document.addEventListener("dated", (event) => localise(event.target));

/** A slash leads to the search, unless something is being typed. */
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  const search = [...document.querySelectorAll("[data-search]")].find((each) => each.checkVisibility?.() ?? true);
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing || !search) return;
  event.preventDefault();
  search.focus();
});

/** On a phone the menu closes when the keyboard leaves it: nothing that it covers is ever in focus. */
const menu = document.getElementById("sections");
menu?.addEventListener("focusout", ({ relatedTarget }) => {
  if (relatedTarget && !menu.contains(relatedTarget) && menu.matches(":popover-open")) menu.hidePopover();
});

/** What was done on the page before is said aloud: a status line that is there from the beginning is not. */
const toast = document.querySelector(".toast");
if (toast) setTimeout(() => (document.getElementById("status").textContent = toast.textContent.trim()), 300);

/** After a refused form the focus is on what is wrong. */
const summary = document.getElementById("summary");
if (summary) summary.focus();

/** Two minutes before the session ends the page says so, and one press goes on. */
const WARNING = 120;
const ending = document.getElementById("ending");
let warning;

function watch(seconds) {
  clearTimeout(warning);
  ending.hidden = true;
  const wait = Math.max(0, seconds - WARNING) * 1000;
  warning = setTimeout(() => {
    const text = ending.querySelector("[data-text]");
    text.textContent = text.dataset.text;
    ending.hidden = false;
  }, wait);
}

if (page && ending) {
  watch(Number(page.dataset.endsIn));
  document.addEventListener("session", (event) => watch(event.detail));
  ending.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(ending.action, { method: "POST", body: new URLSearchParams(new FormData(ending)) });
    if (answer.ok) watch((await answer.json()).ends_in);
    else window.location.reload();
  });
}
