// The browser that asks, in the reader's language: "Firefox on Windows" is "Firefox sous Windows" in French.
//
// The text comes from the request that is signed (shared/agent.py writes it in English). Only what is
// shown is translated; what this phone signs keeps the text as it came, and a text of any other form is shown so too.

const UNKNOWN = "Unknown browser";
const DEVICES = ["iPhone", "iPad", "Mac"]; // the others are systems, which take another preposition in French

/** `word`: the page's words by key. */
export function agentInWords(agent, word) {
  const [, browser, system] = /^([A-Za-z ]+?)(?: on ([A-Za-z]+))?$/.exec(agent) ?? [];
  if (!browser) return agent;
  const named = browser === UNKNOWN ? word("agent_unknown") : browser;
  const on = DEVICES.includes(system) ? "agent_on_device" : "agent_on";
  return system ? word(on).replace("{browser}", named).replace("{system}", system) : named;
}
