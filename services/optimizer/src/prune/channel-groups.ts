import { topologicallySorted } from '@modelmill/onnx';
import type { Model, Node } from '@modelmill/onnx';
import { typesOfOneExample } from '../analyze.js';
import { ChannelFlow } from './channel-flow.js';
import type { ConstantAxis } from './channel-flow.js';
import { channelRules } from './channel-rules.js';
import { holdsGraph } from '../constant-of.js';

/** What a channel is removed from together, and what stands beside it for choice. */
export interface ChannelGroups {
  readonly flow: ChannelFlow;
  readonly constants: readonly ConstantAxis[];
  /** Sets of channels that go together, by the layers whose widths they are; those that must stay are not in it. */
  readonly groups: readonly (readonly number[])[];
}

/**
 * The dependency graph of a model (Fang et al. 2023, DepGraph): every axis that is made of channels, followed from the
 * layer that makes them through what is between to every layer that reads them. Outputs of the graph, and whatever an
 * operator without a rule reads, stay whole, and so does all where shapes are unknown.
 */
export function channelGroups(model: Model): ChannelGroups {
  const { graph } = model;
  const flow = new ChannelFlow(graph, typesOfOneExample(model), model.opsets.get('') ?? 0);
  if (!graph.nodes.some(holdsGraph)) for (const node of topologicallySorted(graph)) follow(flow, node);
  for (const { name } of graph.outputs) for (const channels of flow.axesOf(name).values()) flow.keepWhole(channels);
  const constants = flow.constantAxes();
  return { flow, constants, groups: groupsOf(flow) };
}

function follow(flow: ChannelFlow, node: Node): void {
  const isUnderstood = node.domain === '' && channelRules[node.opType]?.(node, flow) === true;
  if (isUnderstood) return;
  for (const input of node.inputs) for (const channels of flow.axesOf(input).values()) flow.keepWhole(channels);
  for (const output of node.outputs) flow.setAxes(output, []);
}

/** Layers whose channels go together have one width. */
function groupsOf(flow: ChannelFlow): number[][] {
  const whole = flow.wholeSets();
  const groups = new Map<number, Set<number>>();
  for (const channels of flow.made) {
    const merged = new Set(channels.map((channel) => flow.setOf(channel)));
    for (const set of [...merged]) for (const other of groups.get(set) ?? []) merged.add(other);
    for (const set of merged) groups.set(set, merged);
  }
  return [...new Set(groups.values())]
    .map((sets) => [...sets].filter((set) => !whole.has(set)))
    .filter((sets) => sets.length > 1);
}
