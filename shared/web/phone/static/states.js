// Every screen of the page, and which event leads where: the table of docs/flows/phone.md, with the same names.
//
// An event that a screen does not have means nothing there. What is looked for, and what comes by itself, is the same
// question to the API (news.js); the screens differ only in what they do with a request that nobody has seen yet.

const LOOKED = { none: "home", one: "request", several: "choose", locked: "locked" };
const ANYWHERE = { invited: "invited", unsupported: "unsupported", outcome: "said" };

export const STATES = {
  start: { ...LOOKED, ...ANYWHERE },
  locked: { ...LOOKED, ...ANYWHERE, scan: "scan" },
  home: { ...LOOKED, ...ANYWHERE, devices: "devices", scan: "scan", history: "history" },
  scan: { ...LOOKED, ...ANYWHERE },
  history: { ...LOOKED, ...ANYWHERE },
  choose: { ...LOOKED, ...ANYWHERE },
  request: { ...LOOKED, ...ANYWHERE },
  said: { ...LOOKED, ...ANYWHERE },
  devices: { ...LOOKED, ...ANYWHERE, devices: "devices", remove: "remove", offer: "offer" },
  remove: { ...LOOKED, ...ANYWHERE, devices: "devices" },
  offer: { ...LOOKED, ...ANYWHERE, devices: "devices" },
  invited: { ...LOOKED, ...ANYWHERE, joining: "joining" },
  joining: { ...LOOKED, ...ANYWHERE },
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
  scan: "new",
  history: "new",
  choose: "all",
  request: "tell",
  said: "new",
  devices: "new",
  remove: "tell",
  offer: "tell",
  invited: "tell",
  joining: "tell",
  unsupported: "nothing",
};

/**
 * The camera, while the screen `scan` is shown: what it is doing, and what each event makes of that. `off` is what every
 * other screen has. An event that is not there means nothing: a picture that comes late, from a camera that was stopped.
 */
export const CAMERA = {
  off: { asked: "asking" },
  asking: { granted: "looking", refused: "refused", absent: "absent", taken: "taken", unloaded: "unloaded", left: "off" },
  looking: { foreign: "looking", ours: "off", taken: "taken", left: "off" },
  refused: { asked: "asking", left: "off" },
  absent: { asked: "asking", left: "off" },
  taken: { asked: "asking", left: "off" },
  unloaded: { asked: "asking", left: "off" },
};
