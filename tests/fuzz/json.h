/* json.h - is it JSON?  Small, strict, and not of rlock's own hand */
#ifndef RLOCK_FUZZ_JSON_H
#define RLOCK_FUZZ_JSON_H

#include "fuzz.h"

#include <stdio.h>

/* Each steps over one thing; NULL: it is none. */
static const char *json_value(const char *p);

static const char *json_text_end(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\')
			continue;
		if (*++p == 'u') {
			if (strspn(p + 1, "0123456789abcdefABCDEF") < 4)
				return NULL;
			p += 4;
		} else if (!*p || !strchr("\"\\/bfnrt", *p)) {
			return NULL;
		}
	}
	return p + 1;
}

static const char *json_members(const char *p, char end, bool named)
{
	if (*++p == end)
		return p + 1;
	for (;; p++) {
		if (named && (!(p = json_text_end(p)) || *p++ != ':'))
			return NULL;
		p = json_value(p);
		if (!p)
			return NULL;
		if (*p == end)
			return p + 1;
		if (*p != ',')
			return NULL;
	}
}

static const char *json_number_end(const char *p)
{
	size_t digits;

	p += *p == '-';
	digits = strspn(p, "0123456789");
	return digits && (digits == 1 || *p != '0') ? p + digits : NULL;
}

static const char *json_value(const char *p)
{
	if (*p == '{')
		return json_members(p, '}', true);
	if (*p == '[')
		return json_members(p, ']', false);
	if (*p == '"')
		return json_text_end(p);
	if (!strncmp(p, "null", 4) || !strncmp(p, "true", 4))
		return p + 4;
	if (!strncmp(p, "false", 5))
		return p + 5;
	return json_number_end(p);
}

/* One value and nothing else, of printable UTF-8, without blanks. */
static inline bool json_is_valid(const char *text)
{
	const char *end = json_value(text);

	return end && !*end && fuzz_is_printable(text);
}

/* What the inside of a text stands for, as UTF-8; rlock writes no surrogates. */
static inline void json_decode(char *to, const char *p)
{
	unsigned int point;

	for (; *p; p++) {
		if (*p != '\\') {
			*to++ = *p;
			continue;
		}
		if (*++p != 'u') {
			must(*p == '"' || *p == '\\');
			*to++ = *p;
			continue;
		}
		must(sscanf(p + 1, "%4x", &point) == 1);
		p += 4;
		if (point < 0x80) {
			*to++ = (char)point;
		} else if (point < 0x800) {
			*to++ = (char)(0xc0 | point >> 6);
			*to++ = (char)(0x80 | (point & 0x3f));
		} else {
			*to++ = (char)(0xe0 | point >> 12);
			*to++ = (char)(0x80 | (point >> 6 & 0x3f));
			*to++ = (char)(0x80 | (point & 0x3f));
		}
	}
	*to = '\0';
}

#endif
