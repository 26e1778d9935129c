// Canonical JSON (RFC 8785): what is signed must be the same octets everywhere.

/** The canonical text of a JSON value. Names are sorted by UTF-16 code units, which is JavaScript's own order. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}
