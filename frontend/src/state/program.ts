/** A short name for the program at the other end, from its User-Agent. Pure. Source: RFC 9110 section 10.1.5. */

/** Each browser also names those that it wants to be taken for, so the most particular comes first. */
const BROWSERS: readonly (readonly [string, RegExp])[] = [
  ["Edge", /\bEdg\/(\d+)/],
  ["Opera", /\bOPR\/(\d+)/],
  ["Firefox", /\bFirefox\/(\d+)/],
  ["Chrome", /\b(?:Headless)?Chrome\/(\d+)/],
  ["Safari", /\bVersion\/(\d+)[\d.]* (?:Mobile\/\S+ )?Safari\//],
];

/** "Firefox 131", "tidewire-python/1.2"; empty if it did not say. */
export function programOf(userAgent: string): string {
  for (const [name, pattern] of BROWSERS) {
    const version = pattern.exec(userAgent)?.[1];
    if (version !== undefined) return `${name} ${version}`;
  }
  return userAgent.trim().split(/\s+/, 1)[0] ?? "";
}
