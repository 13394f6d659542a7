/**
 * Alerts come over whatever connection to the hub a page has. Its channel hands its notes on here, so that nobody opens a
 * second connection for them. It must not know what is shown. Source: docs/protocol.md, `admin_alert`.
 */
const listeners = new Set<() => void>();

/** Calls `listener` whenever something has become of an alert, on pages with a connection to the hub. */
export function onAlertNote(listener: () => void): void {
  listeners.add(listener);
}

/** For a client's `onNote`. */
export function tellAlertNote(kind: string): void {
  if (kind === "admin_alert") for (const listener of listeners) listener();
}
