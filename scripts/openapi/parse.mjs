// parse.mjs FILE...: what @readme/openapi-parser says of OpenAPI documents; errors and warnings fail.
import { compileErrors, validate } from "@readme/openapi-parser";

for (const file of process.argv.slice(2)) {
  const result = await validate(file);
  if (!result.valid || result.warnings.length > 0) {
    console.error(compileErrors(result));
    process.exitCode = 1;
  }
}
