/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Arguments and return values of functions that kprobes and kretprobes are attached to. */
#pragma once

#include "read.h"

#ifdef ARGUMENT_DI /* x86_64 */
#define FIRST_ARGUMENT(registers) READ(registers, di)
#define RETURN_VALUE(registers) READ(registers, ax)
#else /* arm64 */
#define FIRST_ARGUMENT(registers) READ(registers, regs[0])
#define RETURN_VALUE(registers) READ(registers, regs[0])
#endif
