// The front page: the first sign-in where `make run` leads to it, and the state that /readyz says. Both are asked again
// while somebody looks.

const EVERY = 5_000;
const WALK_EVERY = 1_000;
const GONE = Symbol("gone");

const summary = document.getElementById("summary");
const checks = document.getElementById("checks");
const words = document.getElementById("words").content;
const word = (key) => words.querySelector(`[data-word="${key}"]`).textContent;

/** `{ready, checks}`, or the word for why there is nothing. The proxy of a public system keeps it to itself (404). */
async function ask() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" } });
    return answer.status === 404 ? "untold" : await answer.json();
  } catch {
    return "silent";
  }
}

/** The words for that key; null where there are none. */
const perhaps = (key) => words.querySelector(`[data-word="${CSS.escape(key)}"]`)?.textContent ?? null;

/** What a check of a service's readiness says when it does not hold. Alarms have a text of their own, in English. */
function said(check, value) {
  const [, owner, about] = check.match(/^(.*)_(known|alarm)$/) ?? [];
  if (about === "known") return word("waits").replace("{owner}", perhaps(`service.${owner}`) ?? owner);
  return typeof value === "string" ? value : perhaps(`check.${check}`) ?? check;
}

/** A row for each service: what it is, and what is wrong with it. */
function row(service, found) {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  const faults = found.filter(([, holds]) => holds !== true);
  term.textContent = perhaps(`service.${service}`) ?? service;
  value.textContent = faults.length ? faults.map(([check, holds]) => said(check, holds)).join(" ") : word("good");
  if (faults.some(([, holds]) => holds === false)) value.dataset.bad = "";
  return [term, value];
}

/** `{"admin.database": true, ...}` as the checks of each service. */
function byService(all) {
  const found = new Map();
  for (const [name, holds] of Object.entries(all)) {
    const [service, check] = name.split(/\.(.*)/);
    found.set(service, [...(found.get(service) ?? []), [check, holds]]);
  }
  return [...found];
}

function show(state) {
  const told = typeof state === "object";
  summary.textContent = word(told ? (state.ready ? "ready" : "not_ready") : state);
  checks.hidden = !told;
  checks.replaceChildren(...byService(told ? state.checks : {}).flatMap(([service, found]) => row(service, found)));
}

async function look() {
  if (document.visibilityState === "visible") show(await ask());
  setTimeout(look, EVERY);
}

look();

// The first sign-in. Only `make run` answers; elsewhere its section stays hidden.

const walk = document.getElementById("walk");
const part = (id) => document.getElementById(`walk-${id}`);

/** How far it is; `GONE` where nobody leads (404), or Ada was renamed or removed; null while there is no answer. */
async function askWalk() {
  try {
    const answer = await fetch("/walk/state", { headers: { Accept: "application/json" } });
    if (answer.status === 404) return GONE;
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function showWalk(now) {
  walk.hidden = false;
  part("phone").dataset.state = now.phones.length ? "done" : "todo";
  part("sign-in").dataset.state = now.signed_in ? "done" : "todo";
  part("phones").textContent = now.phones.join(", ");
  part("open").href = now.phone;
  part("start").href = now.sign_in;
  part("enrol").textContent = now.enrol;
  part("approve").textContent = now.approve ?? "";
  part("software").hidden = now.approve === null;
  showProvisioning(now.provisioning);
}

/** `{tab, properties, users, on}`, or null where there is no stand-in of Microsoft Graph. */
function showProvisioning(now) {
  part("provisioning").hidden = !now;
  if (!now) return;
  part("provisioning").dataset.state = now.on ? "done" : "todo";
  part("properties").textContent = now.properties;
  part("tab").href = now.tab;
  part("users").href = now.users;
}

async function lookWalk() {
  if (document.visibilityState === "visible") {
    const now = await askWalk();
    if (now === GONE) {
      walk.hidden = true;
      return;
    }
    if (now) showWalk(now);
    else if (walk.hidden) return; // nobody leads here
  }
  setTimeout(lookWalk, WALK_EVERY);
}

part("give").addEventListener("click", async () => {
  part("failed").hidden = true;
  try {
    const answer = await fetch("/walk/phone", { method: "POST", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.statusText);
    window.open((await answer.json()).link, "_blank", "noopener");
  } catch {
    part("failed").hidden = false;
  }
});

lookWalk();
