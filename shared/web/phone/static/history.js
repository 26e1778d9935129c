// The screen `history`: how the last requests to this phone's accounts ended, as the organisation's server remembers it.
// It is there to be looked at: nothing on it was signed, and nothing depends on it.

import { agentInWords } from "./agent.js";
import { Refused, call } from "./api.js";
import { locale, make, move, phrase, within, word } from "./screens.js";
import { accounts } from "./storage.js";

const FACTS = ["state", "application_name", "agent", "place", "address", "ended_at"];

/** The accounts that are unlocked, all in one list, the newest first. */
export async function list() {
  const unlocked = (await accounts()).filter((entry) => entry.token !== null);
  const found = [];
  let kept = {};
  for (const entry of unlocked) {
    const answer = await call("GET", "/history", undefined, entry);
    if (!Array.isArray(answer.history)) throw new Refused(0, "other", entry);
    kept = answer.kept ?? {};
    found.push(...answer.history.filter(isReadable).map((past) => ({ ...past, entry })));
  }
  found.sort((one, other) => Date.parse(other.ended_at) - Date.parse(one.ended_at));
  within("history", "[data-past]").replaceChildren(...found.map((past) => row(past, unlocked.length > 1)));
  within("history", "[data-nothing]").hidden = found.length > 0;
  within("history", "[data-some]").hidden = found.length === 0;
  within("history", "[data-kept]").textContent = bounds(kept);
  move("history");
}

/** Each fact a text, and an end that this page has words for. */
function isReadable(past) {
  const known = FACTS.every((name) => typeof past?.[name] === "string") && !Number.isNaN(Date.parse(past.ended_at));
  return known && phrase("data-past-state", past.state) !== null;
}

function row(past, several) {
  const text = make("div");
  const line = (content) => make("span", { className: "muted small", textContent: content });
  const end = phrase("data-past-state", past.state);
  text.append(make("b", { textContent: end.querySelector("b").textContent }));
  text.append(line([past.application_name, agentInWords(past.agent, word)].filter(Boolean).join(" · ")));
  const place = past.place && `${past.place} ${word("approximate")}`;
  text.append(line([place, past.address].filter(Boolean).join(" · ")));
  if (several) text.append(line(past.entry.account));
  const when = new Date(past.ended_at);
  const shown = when.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  text.append(make("time", { className: "muted small", textContent: shown, dateTime: past.ended_at }));
  const item = make("li");
  item.append(end.querySelector("svg"), text);
  return item;
}

/** How much is kept, by the server's own word; nothing when it says nothing. */
function bounds(kept) {
  const names = ["answered", "unanswered", "days"];
  if (!names.every((name) => Number.isInteger(kept[name]))) return "";
  return names.reduce((text, name) => text.replace(`{${name}}`, kept[name]), word("kept"));
}
