/**
 * A row's price line on a small canvas: the last minutes, broken where ticks were missed. It must not know rows or ticks.
 * Its size is fixed, so drawing never asks the browser for a layout.
 */
import type { Point } from "../state/watch-list";

export const SPARK_WIDTH = 132;
export const SPARK_HEIGHT = 32;
/** The least span shown, seconds: two ticks must not look like an hour. */
const LEAST_S = 60;
const PAD = 3;

export interface SparkColours {
  readonly line: string;
  readonly base: string;
}

export interface Range {
  readonly low: number;
  readonly high: number;
  readonly spanS: number;
}

/** Lowest, highest and how long; null before the second price. */
export function rangeOf(points: readonly Point[]): Range | null {
  const prices = points.flatMap((point) => (point.price === null ? [] : [point.price]));
  const [first, last] = [points[0], points.at(-1)];
  if (prices.length < 2 || first === undefined || last === undefined) return null;
  return { low: Math.min(...prices), high: Math.max(...prices), spanS: last.at - first.at };
}

export function drawSparkline(canvas: HTMLCanvasElement, points: readonly Point[], colours: SparkColours): void {
  const ratio = Math.max(1, Math.min(3, devicePixelRatio));
  const [width, height] = [SPARK_WIDTH * ratio, SPARK_HEIGHT * ratio];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, SPARK_WIDTH, SPARK_HEIGHT);
  const range = rangeOf(points);
  const end = points.at(-1)?.at;
  if (range === null || end === undefined) return;
  const spanS = Math.max(LEAST_S, range.spanS);
  const rise = range.high - range.low || 1;
  const x = (at: number): number => SPARK_WIDTH - PAD - ((end - at) / spanS) * (SPARK_WIDTH - 2 * PAD);
  const middle = range.high === range.low ? SPARK_HEIGHT / 2 : null;
  const y = (price: number): number =>
    middle ?? SPARK_HEIGHT - PAD - ((price - range.low) / rise) * (SPARK_HEIGHT - 2 * PAD);
  const first = points.find((point) => point.price !== null)?.price ?? range.low;
  drawBase(pen, y(first), colours.base);
  drawLine(pen, points, x, y, colours.line);
}

/** A dashed line at the first price: above it is gain. */
function drawBase(pen: CanvasRenderingContext2D, y: number, colour: string): void {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(PAD, y);
  pen.lineTo(SPARK_WIDTH - PAD, y);
  pen.stroke();
  pen.setLineDash([]);
}

function drawLine(
  pen: CanvasRenderingContext2D,
  points: readonly Point[],
  x: (at: number) => number,
  y: (price: number) => number,
  colour: string,
): void {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  pen.beginPath();
  let drawing = false;
  let end: Point | null = null;
  for (const point of points) {
    if (point.price === null) {
      drawing = false;
      continue;
    }
    if (drawing) pen.lineTo(x(point.at), y(point.price));
    else pen.moveTo(x(point.at), y(point.price));
    drawing = true;
    end = point;
  }
  pen.stroke();
  if (end === null || end.price === null) return;
  pen.beginPath();
  pen.arc(x(end.at), y(end.price), 2, 0, 2 * Math.PI);
  pen.fill();
}
