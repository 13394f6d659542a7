/**
 * A bounded ring of the newest ticks of one column. Pure; it must not know what a tick means.
 * Overflow policy: the oldest is overwritten. `total` goes on counting, so a reader knows what it missed.
 */

/** Rows kept behind the 50 that are shown (dashboard.md M3). */
export const RING_CAPACITY = 500;

export class Ring<T> {
  private readonly slots: (T | undefined)[];
  private next = 0;
  private count = 0;
  private pushed = 0;

  readonly capacity: number;

  constructor(capacity: number = RING_CAPACITY) {
    this.capacity = capacity;
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError(`a ring needs a capacity of 1 or more, not ${capacity}`);
    this.slots = new Array<T | undefined>(capacity);
  }

  /** Items held now. */
  get size(): number {
    return this.count;
  }

  /** Items ever pushed, those overwritten or cleared included. */
  get total(): number {
    return this.pushed;
  }

  push(item: T): void {
    this.slots[this.next] = item;
    this.next = (this.next + 1) % this.capacity;
    this.count = Math.min(this.count + 1, this.capacity);
    this.pushed += 1;
  }

  /** The item pushed `age` pushes ago; 0 is the newest. Undefined if it is not held. */
  at(age: number): T | undefined {
    if (age < 0 || age >= this.count) return undefined;
    return this.slots[(this.next - 1 - age + 2 * this.capacity) % this.capacity];
  }

  /** At most `limit` items that pass, newest first. */
  newest(limit: number, passes: (item: T) => boolean = () => true): T[] {
    const found: T[] = [];
    for (let age = 0; age < this.count && found.length < limit; age += 1) {
      const item = this.at(age);
      if (item !== undefined && passes(item)) found.push(item);
    }
    return found;
  }

  clear(): void {
    this.slots.fill(undefined);
    this.next = 0;
    this.count = 0;
  }
}
