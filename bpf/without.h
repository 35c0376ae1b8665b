/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Replacements for functions that need a feature which this kernel lacks. */
#pragma once

#include "kernel_types.h"

#ifndef HAVE_PROGRAM_FILE
#define identify_program(task, bprm, key, scratch) ((key)->flags |= KEY_UNREADABLE)
#define trait_flags(task, bprm, scratch, now) 0
#define write_files(task, bprm, scratch)
#define write_origin(record, scratch)
#endif
#if !defined(HAVE_PROGRAM_FILE) || !defined(HAVE_SCRIPT_HOOK)
#define take_script(bprm) 0
#endif
#if !defined(HAVE_PROGRAM_FILE) || !defined(HAVE_RELEASED_SCRIPT)
#define released_script(task) 0
#endif
#ifndef HAVE_ELF_INTERPRETER
#define interpreter_file(task, buffer) 0
#endif
#ifndef HAVE_ARGUMENTS
#define preloads(task, buffer) false
#define write_arguments(task, bprm, record)
#endif
#if !defined(HAVE_PROGRAM_FILE) || !defined(HAVE_ARGUMENTS)
#define observe_arguments(task, bprm, scratch, settings, now)
#endif
#ifndef HAVE_MISC_NAMESPACES
#define own_formats(task) 0
#define is_registered(formats, bprm, scratch) false
#endif
#ifndef HAVE_STDIN
#define stdin_file(task) 0
#define stdin_type(file) STDIN_UNKNOWN
#define is_connection(file) false
#endif
#ifndef HAVE_PROCESSES
#define track_exec(program, executed)
#endif
