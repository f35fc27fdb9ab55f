import { examplesLast } from './examples-last.js';
import { concat, gather, reshape, zeros } from './ops.js';
import { constant } from './value.js';
import type { Shape, Value } from './value.js';

/** `wide` x `wide` positions from every `tile`-th place of a map, `down` times `across` such tiles. */
export interface Grid {
  readonly tile: number;
  readonly wide: number;
  readonly down: number;
  readonly across: number;
  /** By how much the first tile lies outside of the map, which is zero there. */
  readonly before: Shape;
}

/** Of x [n, c, h, w], what the tiles `from` to `to` see: [wide², c, tiles · n]. */
export function tilesOfMap(x: Value, { tile, wide, down, across, before }: Grid): (from: number, to: number) => Value {
  const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
  const area = height * width;
  const outside = channels * area;
  // with the examples last, what is copied lies in one piece
  const within = reshape(examplesLast(x), [outside, batch]);
  const reaches = (tiles: number, axis: 0 | 1, length: number) =>
    before[axis]! > 0 || (tiles - 1) * tile + wide - before[axis]! > length;
  const all = reaches(down, 0, height) || reaches(across, 1, width) ? concat([within, zeros([1, batch])], 0) : within;

  /** The place that a tile has at a position; undefined outside. */
  const placeOf = (position: number, at: number): number | undefined => {
    const row = Math.floor(at / across) * tile + Math.floor(position / wide) - before[0]!;
    const column = (at % across) * tile + (position % wide) - before[1]!;
    return row >= 0 && row < height && column >= 0 && column < width ? row * width + column : undefined;
  };
  return (from, to) => {
    const tiles = to - from;
    const rows = new Int32Array(wide ** 2 * channels * tiles);
    for (let position = 0; position < wide ** 2; position++) {
      for (let at = 0; at < tiles; at++) {
        const place = placeOf(position, from + at);
        const first = position * channels * tiles + at;
        for (let channel = 0; channel < channels; channel++)
          rows[first + channel * tiles] = place === undefined ? outside : channel * area + place;
      }
    }
    const gathered = gather(all, constant(rows, [rows.length], 'int64'), 0);
    return reshape(gathered, [wide ** 2, channels, tiles * batch]);
  };
}

/** Tiles [tile², o, tiles · n], so many in a row, put together to so many places: [o, places, n]. */
export function mapOfTiles(
  tiles: Value,
  tile: number,
  across: number,
  [height = 0, width = 0]: Shape,
  batch: number,
): Value {
  const filters = tiles.shape[1]!;
  const [count, area] = [tiles.shape[2]! / batch, height * width];
  const rows = new Int32Array(filters * area);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const position = (row % tile) * tile + (column % tile);
      const at = Math.floor(row / tile) * across + Math.floor(column / tile);
      for (let filter = 0; filter < filters; filter++)
        rows[filter * area + row * width + column] = (position * filters + filter) * count + at;
    }
  }
  const byTile = reshape(tiles, [tile ** 2 * filters * count, batch]);
  return reshape(gather(byTile, constant(rows, [rows.length], 'int64'), 0), [filters, area, batch]);
}
