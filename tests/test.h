/* test.h - the whole test framework.  A test file is a list of TEST(name) { ... } bodies; run.c finds them by itself.
 *
 *   TEST(resize_copies_same_size) { CHECK(w == 3, "width %d", w); }
 *
 * A body that returns without a failed CHECK has passed.  Paths of test data are relative to TEST_DATA (the tests/ folder).
 */
#ifndef TEST_H
#define TEST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct test_case { const char *name, *file; void (*body)(void); struct test_case *next; } test_case;
void test_register(test_case *t);
void test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void test_skip(const char *why);                      /* counts as skipped; the body returns after it */
const char *test_data(const char *name);              /* "weights/x" -> the full path; a ring of eight results */
const char *test_temp(const char *name);              /* a path in a fresh folder that is removed at the end */

#define TEST(name_)                                                                                          \
    static void name_##_body(void);                                                                          \
    static test_case name_##_case = { #name_, __FILE__, name_##_body, NULL };                                \
    __attribute__((constructor)) static void name_##_register(void) { test_register(&name_##_case); }        \
    static void name_##_body(void)

/* A failed check is reported and the body goes on; REQUIRE leaves it. */
#define CHECK(cond, ...) do { if (!(cond)) test_fail(__FILE__, __LINE__, __VA_ARGS__); } while (0)
#define REQUIRE(cond, ...) do { if (!(cond)) { test_fail(__FILE__, __LINE__, __VA_ARGS__); return; } } while (0)

#endif
