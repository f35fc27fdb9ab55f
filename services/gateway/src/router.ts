import * as errors from './errors.js';
import type { RestRoute } from './rest-request.js';

interface Compiled {
  readonly route: RestRoute;
  readonly pattern: RegExp;
  readonly names: readonly string[];
}

export interface Match {
  readonly route: RestRoute;
  readonly params: Readonly<Record<string, string>>;
}

const mostKept = 1000;
const longestKept = 200;

/** Finds the route of a request. Throws 404 for an unknown path, and 405 with the verbs it takes for a wrong verb. */
export function createRouter(routes: readonly RestRoute[]) {
  const compiled = routes.map(compile);
  const kept = new Map<string, Match>(); // most requests ask for a few paths again and again

  return (verb: string, path: string): Match => {
    const asked = `${verb} ${path}`;
    const known = kept.get(asked);
    if (known) return known;
    const found = find(verb, path);
    if (kept.size >= mostKept) kept.clear();
    if (asked.length <= longestKept) kept.set(asked, found);
    return found;
  };

  function find(verb: string, path: string): Match {
    percentDecoded(path); // also where no route has it
    const asked = verb === 'HEAD' ? 'GET' : verb;
    for (const candidate of compiled) {
      const found = candidate.route.verb === asked ? candidate.pattern.exec(path) : null;
      if (found) return { route: candidate.route, params: paramsOf(candidate, found) };
    }
    const allowed = compiled.filter(({ pattern }) => pattern.test(path)).map(({ route }) => route.verb);
    throw allowed.length > 0 ? errors.wrongVerb([...new Set(allowed)]) : errors.noRoute();
  }
}

/** TensorFlow Serving takes its paths in any case; parameters end at a slash or a colon. */
function compile(route: RestRoute): Compiled {
  const names: string[] = [];
  const pattern = route.path.replaceAll(/[.:]/g, '\\$&').replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    names.push(name.replaceAll('\\', ''));
    return '([^/:]+)';
  });
  return { route, pattern: new RegExp(`^${pattern}/?$`, route.path.startsWith('/v1/') ? 'i' : ''), names };
}

function paramsOf({ names }: Compiled, found: RegExpExecArray): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, decoded(found[i + 1]!)]));
}

function decoded(segment: string): string {
  const name = percentDecoded(segment);
  // nothing here is called so, and further on it could lead elsewhere
  if (/^\.{1,2}$|[/\\\p{Cc}]/u.test(name)) throw errors.noRoute();
  return name;
}

function percentDecoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw Object.assign(errors.badJson(`'${segment.slice(0, 80)}' is not percent-encoded UTF-8`), { cause });
  }
}
