/** What the client needs of where it runs: time, timers, chance, sockets. Tests give their own. It must not know the DOM. */

/** The part of the standard WebSocket that is used. */
export interface SocketLike {
  /** The subprotocol that the server chose. */
  readonly protocol: string;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface Host {
  /** Milliseconds that never run backwards and that go on while the machine sleeps. */
  now(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
  random(): number;
  open(url: string, protocols: readonly string[]): SocketLike;
}

interface Globals {
  readonly performance: { now(): number };
  readonly WebSocket?: new (url: string, protocols: string[]) => SocketLike;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Browsers, workers, Node 22 and later. */
export function standardHost(): Host {
  const globals = globalThis as unknown as Globals;
  let [elapsed, steady, wall] = [0, globals.performance.now(), Date.now()];
  return {
    now() {
      // The steady clock may stand still while the machine sleeps, and the wall clock may be set back: take what moved more.
      const [steadyNow, wallNow] = [globals.performance.now(), Date.now()];
      elapsed += Math.max(steadyNow - steady, wallNow - wall, 0);
      [steady, wall] = [steadyNow, wallNow];
      return Math.floor(elapsed);
    },
    setTimeout: (run, delayMs) => globals.setTimeout(run, delayMs),
    clearTimeout: (timer) => globals.clearTimeout(timer),
    random: Math.random,
    open(url, protocols) {
      if (globals.WebSocket === undefined) throw new Error("There is no WebSocket here; give one with openSocket.");
      return new globals.WebSocket(url, [...protocols]);
    },
  };
}
