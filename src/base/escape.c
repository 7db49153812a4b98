/* escape.c - text from outside made safe, and the token's percent-encoding */
#include "base/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decodes one UTF-8 character of at most len bytes.  Returns its length and
 * sets *point, or 0 if there is none: overlong forms, surrogates and what is
 * beyond U+10FFFF are none. */
static size_t utf8_next(const unsigned char *p, size_t len, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t need;
	size_t i;

	if (p[0] < 0x80) {
		*point = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		need = 2;
	else if (p[0] >= 0xe0 && p[0] < 0xf0)
		need = 3;
	else if (p[0] >= 0xf0 && p[0] < 0xf5)
		need = 4;
	else
		return 0;
	if (len < need)
		return 0;
	*point = p[0] & (0x7fU >> need);
	for (i = 1; i < need; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (p[i] & 0x3f);
	}
	if (*point < least[need] || *point > 0x10ffff ||
	    (*point >= 0xd800 && *point < 0xe000))
		return 0;
	return need;
}

/* Control characters, and those that make a line read otherwise than it is
 * written: line separators and bidirectional marks and overrides. */
static bool is_hostile(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
	       point == 0x61c || (point >= 0x200e && point <= 0x200f) ||
	       (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

/* Writes the display form of the character at p; returns how many bytes of
 * text it stands for. */
static size_t display_next(char out[static 20], const unsigned char *p,
			   size_t len)
{
	uint32_t point = 0;
	size_t n = utf8_next(p, len, &point);
	size_t i;

	if (n && !is_hostile(point) && point != '\\') {
		memcpy(out, p, n);
		out[n] = '\0';
		return n;
	}
	if (p[0] == '\n' || p[0] == '\t' || p[0] == '\\') {
		out[0] = '\\';
		out[1] = p[0] == '\n' ? 'n' : p[0] == '\t' ? 't' : '\\';
		out[2] = '\0';
		return 1;
	}
	if (!n)
		n = 1;
	for (i = 0; i < n; i++)
		snprintf(out + 4 * i, 5, "\\x%02X", (unsigned int)p[i]);
	return n;
}

const char *escape_display(char *buf, size_t size, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;
	size_t used = 0;
	size_t safe = 0; /* up to here "..." still fits behind */
	char piece[20];

	while (p < end) {
		size_t n = display_next(piece, p, (size_t)(end - p));
		size_t add = strlen(piece);

		if (used + add + 1 > size) {
			memcpy(buf + safe, "...", 4);
			return buf;
		}
		memcpy(buf + used, piece, add);
		used += add;
		if (used + 4 <= size)
			safe = used;
		p += n;
	}
	buf[used] = '\0';
	return buf;
}

char *escape_json(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;
	char *out = malloc(6 * len + 1);
	char *to = out;

	if (!out)
		return NULL;
	while (p < end) {
		uint32_t point = 0;
		size_t n = utf8_next(p, (size_t)(end - p), &point);

		if (!n) {
			to += snprintf(to, 6, "\\\\x%02X", (unsigned int)*p);
			n = 1;
		} else if (is_hostile(point)) {
			to += snprintf(to, 7, "\\u%04x", (unsigned int)point);
		} else {
			if (point == '"' || point == '\\')
				*to++ = '\\';
			memcpy(to, p, n);
			to += n;
		}
		p += n;
	}
	*to = '\0';
	return out;
}

const char *escape_stray(char *buf, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;
	char *to = buf;
	uint32_t point;

	while (p < end) {
		size_t n = utf8_next(p, (size_t)(end - p), &point);

		if (!*p)
			n = 0;
		if (n)
			memcpy(to, p, n);
		else
			snprintf(to, 5, "\\x%02X", (unsigned int)*p);
		to += n ? n : 4;
		p += n ? n : 1;
	}
	*to = '\0';
	return buf;
}

size_t escape_characters(const char *text, size_t len, size_t count)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t used = 0;
	uint32_t point;

	for (; count && used < len; count--) {
		size_t n = utf8_next(p + used, len - used, &point);

		used += n ? n : 1;
	}
	return used;
}

size_t escape_columns(const char *text)
{
	size_t columns = 0;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			columns++;
	return columns;
}

static bool stays(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("-._@", c));
}

size_t percent_encode(char *buf, const char *text, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = buf;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (stays(text[i])) {
			*to++ = text[i];
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = '\0';
	return (size_t)(to - buf);
}

static int hex_value(char c, bool lower_too)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (lower_too && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool percent_decode_strict(char *buf, size_t max, const char *text, size_t len,
			   size_t *decoded)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (n == max)
			return false;
		if (c == '%') {
			int high = len - i > 2 ? hex_value(text[i + 1], false)
					       : -1;
			int low = len - i > 2 ? hex_value(text[i + 2], false)
					      : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			if (!c || stays(c))
				return false;
			i += 2;
		} else if (!stays(c)) {
			return false;
		}
		buf[n++] = c;
	}
	buf[n] = '\0';
	*decoded = n;
	return true;
}

bool percent_decode_url(char *text)
{
	char *to = text;

	for (; *text; text++) {
		int high;
		int low;

		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		high = hex_value(text[1], true);
		low = high < 0 ? -1 : hex_value(text[2], true);
		if (low < 0 || (high | low) == 0)
			return false;
		*to++ = (char)(high << 4 | low);
		text += 2;
	}
	*to = '\0';
	return true;
}

char *escape_shell(const char *text)
{
	char *out = malloc(4 * strlen(text) + 3);
	char *to = out;

	if (!out)
		return NULL;
	*to++ = '\'';
	for (; *text; text++) {
		if (*text == '\'') {
			memcpy(to, "'\\''", 4);
			to += 4;
		} else {
			*to++ = *text;
		}
	}
	*to++ = '\'';
	*to = '\0';
	return out;
}
