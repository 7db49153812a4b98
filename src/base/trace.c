/* trace.c - what --verbose shows */
#include "base/trace.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static void (*listener)(const char *line);

void trace_to(void (*sink)(const char *line))
{
	listener = sink;
}

void trace(const char *fmt, ...)
{
	char line[1024];
	va_list args;

	if (!listener)
		return;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	listener(line);
}
