import type { inference } from '@modelmill/contracts';
import type { Telemetry } from '@modelmill/service-kit';
import * as errors from './errors.js';

type Log = Telemetry['log'];
type LogValue = inference.LogSettingsRequest_SettingValue['parameterChoice'];

const settingOf = (choice: LogValue): inference.LogSettingsResponse_SettingValue => ({ parameterChoice: choice });
const flag = (boolParam: boolean) => settingOf({ $case: 'boolParam', boolParam });
const word = (stringParam: string) => settingOf({ $case: 'stringParam', stringParam });

const levels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'];

/** What is logged, in Triton's settings: they are one threshold here, of which `log_error` is the last to fall. */
export function logSettings({ level }: Log): inference.LogSettingsResponse {
  const at = levels.indexOf(level);
  return {
    settings: {
      log_file: word(''),
      log_error: flag(at >= 1),
      log_warning: flag(at >= 2),
      log_info: flag(at >= 3),
      log_verbose_level: settingOf({ $case: 'uint32Param', uint32Param: Math.max(0, at - 3) }),
      log_format: word('ISO8601'),
    },
  };
}

/** Changes the threshold: what is switched off takes with it what weighs less. All or nothing. */
export function changeLogSettings(log: Log, settings: inference.LogSettingsRequest['settings']): void {
  let at = levels.indexOf(log.level);
  for (const [name, { parameterChoice: choice }] of Object.entries(settings)) {
    const level = levelOf[name];
    if (name === 'log_verbose_level') {
      if (choice?.$case !== 'uint32Param') throw errors.badSetting(name, 'a number');
      if (choice.uint32Param > 0) at = 3 + Math.min(choice.uint32Param, 2);
      else at = Math.min(at, 3);
    } else if (level !== undefined) {
      if (choice?.$case !== 'boolParam') throw errors.badSetting(name, 'a boolean');
      at = choice.boolParam ? Math.max(at, level) : Math.min(at, level - 1);
    } else if (name === 'log_format') {
      if (choice?.$case !== 'stringParam' || choice.stringParam !== 'ISO8601')
        throw errors.badSetting(name, "'ISO8601'");
    } else if (name === 'log_file') throw errors.fixedLogFile();
    else throw errors.unknownSetting(name);
  }
  log.level = levels[at]!;
}

const levelOf: Readonly<Record<string, number>> = { log_error: 1, log_warning: 2, log_info: 3 };

/** Tracing as the configuration has it: every call where a collector is named, none where not. */
export function traceSettings(isTracing: boolean): inference.TraceSettingResponse {
  const settings = {
    trace_file: [''],
    trace_level: [isTracing ? 'TIMESTAMPS' : 'OFF'],
    trace_rate: ['1'],
    trace_count: ['-1'],
    log_frequency: ['0'],
    trace_mode: ['opentelemetry'],
  };
  return { settings: Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, { value }])) };
}

/** A wish for what is so already is granted; any other would need another configuration. */
export function checkTraceSettings(isTracing: boolean, wanted: inference.TraceSettingRequest['settings']): void {
  const { settings } = traceSettings(isTracing);
  for (const [name, { value }] of Object.entries(wanted)) {
    const now = settings[name]?.value;
    if (now === undefined) throw errors.unknownSetting(name);
    if (value.length > 0 && value.join() !== now.join()) throw errors.fixedTraceSetting(name, value.join(), now.join());
  }
}
