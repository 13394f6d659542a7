// A page's socket follows the page and the network: gone with the page, back with it, tried at once when somebody looks
// or the network is there again. It must not know what the socket carries.

export interface Line {
  open(): void;
  close(): void;
}

export interface Channel extends Line {
  retryNow(): void;
}

/** Close `line` with the page, and open it again if the page comes back from the browser's cache. */
export function followPage(line: Line): void {
  window.addEventListener("pagehide", () => line.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) line.open();
  });
}

/** Keep `channel` in step; `changed` is told whether the browser is offline, each time that it changes. */
export function followNetwork(channel: Channel, changed: (offline: boolean) => void): void {
  followPage(channel);
  const network = (): void => {
    if (navigator.onLine) channel.retryNow();
    changed(!navigator.onLine);
  };
  window.addEventListener("online", network);
  window.addEventListener("offline", network);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) channel.retryNow();
  });
}
