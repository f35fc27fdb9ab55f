import type { Graph, Node, StaticType } from '@modelmill/onnx';

/** For each index along an axis, the channel it belongs to. */
export type Channels = readonly number[];

/** The axes of a value that consist of channels. */
export type ChannelAxes = ReadonlyMap<number, Channels>;

/** An axis of a constant that has one slice per channel. */
export interface ConstantAxis {
  readonly name: string;
  readonly axis: number;
  readonly channels: Channels;
  /** A kernel or a matrix, by whose slices a channel's importance is measured. */
  readonly isMatrix: boolean;
}

/** Sets that grow together. */
class Unions {
  private readonly parents: number[] = [];
  get size(): number {
    return this.parents.length;
  }
  add(): number {
    return this.parents.push(this.parents.length) - 1;
  }
  find(one: number): number {
    let root = one;
    while (this.parents[root] !== root) root = this.parents[root]!;
    for (let at = one; at !== root;) {
      const next = this.parents[at]!;
      this.parents[at] = root;
      at = next;
    }
    return root;
  }
  join(a: number, b: number): void {
    this.parents[this.find(b)] = this.find(a);
  }
}

/** Which axes of which tensors go together, as a walk along the graph finds out. */
export class ChannelFlow {
  private readonly same = new Unions();
  private readonly whole: number[] = [];
  private readonly values = new Map<string, ChannelAxes>();
  private readonly constants = new Map<string, ConstantAxis & { readonly readers: Set<Node> }>();
  /** Channels that one layer makes, layer by layer. */
  readonly made: Channels[] = [];
  /** Channels of which one at least must stay. */
  readonly parts: Channels[] = [];

  constructor(
    readonly graph: Graph,
    /** Of one example. */
    readonly types: ReadonlyMap<string, StaticType>,
    /** Version of ai.onnx. */
    readonly opset: number,
  ) {}

  shapeOf(value: string | undefined): readonly number[] | undefined {
    return this.graph.initializers.get(value ?? '')?.dims ?? this.types.get(value ?? '')?.shape;
  }

  isConstant(value: string | undefined): boolean {
    return this.graph.initializers.has(value ?? '');
  }

  axesOf(value: string | undefined): ChannelAxes {
    return this.values.get(value ?? '') ?? new Map<number, Channels>();
  }

  /** New channels, of which a layer makes `count`. */
  make(count: number): Channels {
    const channels = Array.from({ length: count }, () => this.same.add());
    this.made.push(channels);
    return channels;
  }

  /** Channels that nothing removes. */
  makeWhole(count: number): Channels {
    const channels = Array.from({ length: count }, () => this.same.add());
    this.keepWhole(channels);
    return channels;
  }

  /** What is divided has a rest of each part; a part of one channel keeps it. */
  part(channels: Channels): void {
    if (channels.length === 1) this.keepWhole(channels);
    else this.parts.push(channels);
  }

  /** The channels of both go together, one by one. */
  join(a: Channels, b: Channels): void {
    if (a.length !== b.length) throw new Error(`${a.length} channels cannot be joined with ${b.length}`);
    a.forEach((channel, i) => this.same.join(channel, b[i]!));
  }

  keepWhole(channels: Channels): void {
    for (const channel of channels) this.whole.push(channel);
  }

  /** A single slice is no choice: such an axis stays as it is. */
  setAxes(value: string, axes: Iterable<readonly [number, Channels]>): void {
    this.values.set(value, new Map([...axes].filter(([, channels]) => channels.length > 1)));
  }

  /** `node` reads the axis of a constant as these channels; false where it is no float constant. */
  read(node: Node, name: string, axis: number, channels: Channels, isMatrix = false): boolean {
    if (this.graph.initializers.get(name)?.dataType !== 'float') return false;
    const key = `${axis} ${name}`;
    const known = this.constants.get(key);
    if (known) this.join(known.channels, channels);
    const readers = (known?.readers ?? new Set<Node>()).add(node);
    this.constants.set(key, { name, axis, channels, isMatrix: isMatrix || known?.isMatrix === true, readers });
    return true;
  }

  /** What a constant's slices belong to. Where one reader takes an axis for something else, the axis is left whole. */
  constantAxes(): ConstantAxis[] {
    const outputs = new Set(this.graph.outputs.map(({ name }) => name));
    for (const { name, channels, readers } of this.constants.values()) {
      const others = this.graph.nodes.some((node) => node.inputs.includes(name) && !readers.has(node));
      if (others || outputs.has(name)) this.keepWhole(channels);
    }
    return [...this.constants.values()];
  }

  /** One number for all channels that go together. */
  setOf(channel: number): number {
    return this.same.find(channel);
  }

  /** The sets that stay. */
  wholeSets(): ReadonlySet<number> {
    return new Set(this.whole.map((channel) => this.setOf(channel)));
  }
}

/** Follows channels from a node's inputs to its outputs; false where it cannot tell, having changed nothing. */
export type ChannelRule = (node: Node, flow: ChannelFlow) => boolean;
