// Every screen of the page, and which event leads where: the table of docs/flows/phone.md, with the same names.
//
// An event that a screen does not have means nothing there. What is looked for, and what comes by itself, is the same
// question to the API (news.js); the screens differ only in what they do with a request that nobody has seen yet.

const LOOKED = { none: "home", one: "request", several: "choose", locked: "locked" };
const ANYWHERE = { invited: "invited", unsupported: "unsupported", outcome: "said" };

export const STATES = {
  start: { ...LOOKED, ...ANYWHERE },
  locked: { ...LOOKED, ...ANYWHERE },
  home: { ...LOOKED, ...ANYWHERE, devices: "devices" },
  choose: { ...LOOKED, ...ANYWHERE },
  request: { ...LOOKED, ...ANYWHERE },
  said: { ...LOOKED, ...ANYWHERE },
  devices: { ...LOOKED, ...ANYWHERE, devices: "devices", remove: "remove" },
  remove: { ...LOOKED, ...ANYWHERE, devices: "devices" },
  invited: { ...LOOKED, ...ANYWHERE },
  unsupported: { ...ANYWHERE },
};

/**
 * What a screen does by itself with what it hears. `all`: it shows whatever is open. `new`: it stays until there is a
 * request that nobody has seen. `tell`: it says that one waits, and the person opens it. `nothing`: it does not ask.
 */
export const NEWS = {
  start: "nothing",
  locked: "all",
  home: "all",
  choose: "all",
  request: "tell",
  said: "new",
  devices: "new",
  remove: "tell",
  invited: "tell",
  unsupported: "nothing",
};
