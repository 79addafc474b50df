/** The environment of programs that tests start. */

/** All that they get of the environment of the tests: where programs are, and where Node keeps compiled code, if anywhere. */
export function bareEnvironment(): Record<string, string> {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env;
  return { PATH, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) };
}
