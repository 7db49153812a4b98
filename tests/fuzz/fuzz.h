/* fuzz.h - what the fuzz targets have in common
 *
 * A target is a program that libFuzzer calls with bytes it has made up.  It
 * gives them to what reads foreign bytes and checks what must be true of the
 * outcome, whatever they are.
 */
#ifndef RLOCK_FUZZ_H
#define RLOCK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The end of the run, and of the program: the stack says where. */
#define must(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)

/* A copy with a NUL behind it, of its own size, so that the sanitizer sees a
 * step beyond it.  The caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Is it UTF-8 of which no character is a control character, or one that makes a
 * line read otherwise than it is written?  Written another way than escape.c. */
static inline bool fuzz_is_printable(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		uint32_t point = *p;
		int more = 0;

		if (point >= 0xf0)
			more = 3, point &= 0x07;
		else if (point >= 0xe0)
			more = 2, point &= 0x0f;
		else if (point >= 0xc0)
			more = 1, point &= 0x1f;
		else if (point >= 0x80)
			return false;
		if (*p++ >= 0xf8)
			return false;
		for (int i = 0; i < more; i++) {
			if (*p < 0x80 || *p > 0xbf)
				return false;
			point = point * 64 + *p++ - 0x80;
		}
		if ((more == 1 && point < 0x80) ||
		    (more == 2 && point < 0x800) ||
		    (more == 3 && (point < 0x10000 || point > 0x10ffff)) ||
		    point / 0x800 == 0x1b)
			return false;
		if (point < 0x20 || (point > 0x7e && point < 0xa0) ||
		    point == 0x61c || point == 0x200e || point == 0x200f ||
		    (point >= 0x2028 && point <= 0x202e) ||
		    (point >= 0x2066 && point <= 0x2069) || point == 0xfeff)
			return false;
	}
	return true;
}

#endif
