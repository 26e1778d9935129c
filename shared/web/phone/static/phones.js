// The screens `devices` and `remove`: the phones of each account that is unlocked here.

import { call } from "./api.js";
import { sign } from "./authenticator.js";
import { icon, locale, make, move, say, within, word } from "./screens.js";
import { makeStatement } from "./statement.js";
import { accounts, forget } from "./storage.js";

const NOTIFICATIONS = ["on", "off", "ended"];

let leaving = null; // the phone that is about to be removed: {id, own, entry}

export async function list() {
  const unlocked = (await accounts()).filter((entry) => entry.token !== null);
  const rows = [];
  for (const entry of unlocked) {
    const { devices } = await call("GET", "/devices", undefined, entry);
    rows.push(...devices.map((device) => row(device, entry, unlocked.length > 1)));
  }
  within("devices", "[data-devices]").replaceChildren(...rows);
  within("devices", "[data-further]").replaceChildren(...unlocked.map((entry) => more(entry, unlocked.length > 1)));
  move("devices");
}

function row(device, entry, several) {
  const since = new Date(device.enrolled_at).toLocaleDateString(locale, { dateStyle: "medium" });
  const about = [
    several ? entry.account : "",
    device.this ? word("this_phone") : "",
    `${word("since")} ${since}`,
    NOTIFICATIONS.includes(device.notifications) ? word(`notify_${device.notifications}`) : "",
  ].filter(Boolean).join(", ");
  const text = make("p");
  text.append(make("b", { textContent: device.name }), make("span", { className: "muted small", textContent: about }));
  const button = make("button", { type: "button", className: "button secondary", textContent: word("remove") });
  button.setAttribute("aria-label", `${word("remove")} ${device.name}, ${about}`);
  button.addEventListener("click", () => ask(device, entry));
  const item = make("li");
  item.append(icon("smartphone"), text, button);
  return item;
}

/** The button that adds a phone to that account. */
function more(entry, several) {
  const button = make("button", { type: "button", className: "button secondary", textContent: word("further") });
  if (several) button.append(make("span", { className: "small", textContent: ` ${entry.account}` }));
  button.dataset.do = "further";
  button.dataset.credential = entry.credential;
  return button;
}

function ask(device, entry) {
  leaving = { id: device.id, own: device.this, entry };
  within("remove", "[data-device]").textContent = device.name;
  within("remove", "[data-this]").hidden = !device.this;
  within("remove", "[data-other]").hidden = device.this;
  move("remove");
}

/** The phone in hand signs that the other one, or itself, is to go: the session alone removes none. */
export async function remove() {
  const { id: device, own, entry } = leaving;
  const path = `/devices/${encodeURIComponent(device)}/remove`;
  const begun = await call("POST", `${path}/nonce`, {}, entry);
  const { text, challenge } = await makeStatement("remove", begun.server_nonce, { device });
  const credential = await sign(challenge, [entry.credential]);
  await call("POST", path, { id: begun.id, statement: text, credential }, entry);
  if (own) await forget(entry.credential);
  say(own ? "device_removed" : "removed");
}
