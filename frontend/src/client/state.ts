/** The states of a client's connection, and the numbers that its life is ruled by. Pure data. */

export const PLAIN = "tidewire.v1";
export const BATCH = "tidewire.v1.batch";
/** From the first byte to "connected": DNS, TLS, the handshake and the server's look into its database. */
export const CONNECT_TIMEOUT_MS = 20_000;
// Our own codes in the range that applications may use (RFC 6455 section 7.4.2); the server only records them.
export const CLOSE_FAULT = 3000;
export const CLOSE_SILENT = 3001;
export const NO_CLOSE_FRAME = 1006;
export const STATE_INVALIDATED = 4006;
export const TOKEN_EXPIRED = 4200;

/** idle -> (fetching ->) connecting -> ready -> waiting -> ...; ended from anywhere, for good. */
export type State = "idle" | "fetching" | "connecting" | "ready" | "waiting" | "ended";

export interface SessionOptions {
  /** Returns a uniform random number in [0, 1). */
  readonly draw: () => number;
  /** Whether the carrier can fetch tokens; then each connection begins with one. */
  readonly withToken: boolean;
  /** How many requests may wait to be sent. */
  readonly maxQueue: number;
  /** Whose connection it must be; null: anybody's. */
  readonly username?: string | null;
}
