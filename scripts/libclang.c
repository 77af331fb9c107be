/* Does what bindgen will do: loads the libclang named by the first argument and parses C with it, this very file, under
 * the other arguments. Exits 0 if that works; if not, says on standard output why. A libclang alone is not enough: it
 * needs the libraries it was linked with, and the compiler's own headers (stddef.h), which are in another package.
 * The headers below are those of redismodule.h, and stddef.h. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

/* From clang-c/Index.h, which need not be installed. */
typedef struct {
  const void *data;
  unsigned flags;
} String;
enum { SEVERITY_ERROR = 3 };

static void *library;

static void *function(const char *name) {
  void *found = dlsym(library, name);
  if (!found) {
    printf("%s", dlerror());
    exit(1);
  }
  return found;
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    printf("%s", dlerror());
    return 1;
  }
  void *(*create)(int, int) = function("clang_createIndex");
  void *(*parse)(void *, const char *, const char *const *, int, void *, unsigned, unsigned) =
      function("clang_parseTranslationUnit");
  unsigned (*diagnostics)(void *) = function("clang_getNumDiagnostics");
  void *(*diagnostic)(void *, unsigned) = function("clang_getDiagnostic");
  unsigned (*severity)(void *) = function("clang_getDiagnosticSeverity");
  String (*spelling)(void *) = function("clang_getDiagnosticSpelling");
  const char *(*text)(String) = function("clang_getCString");

  void *unit = parse(create(0, 0), __FILE__, (const char *const *)arguments + 2, count - 2, NULL, 0, 0);
  if (!unit) {
    printf("it cannot parse C");
    return 1;
  }
  for (unsigned i = 0; i < diagnostics(unit); i++) {
    if (severity(diagnostic(unit, i)) >= SEVERITY_ERROR) {
      printf("%s", text(spelling(diagnostic(unit, i))));
      return 1;
    }
  }
  return 0;
}
