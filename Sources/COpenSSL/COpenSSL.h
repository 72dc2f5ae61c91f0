// SPDX-License-Identifier: Apache-2.0
//
// The message digests of OpenSSL 3's libcrypto (EVP_DigestInit(3)), which Loaded/Digest.swift checks
// a crash image with.

#ifndef KDUMP_HOTPLUGD_COPENSSL_H
#define KDUMP_HOTPLUGD_COPENSSL_H

#include <openssl/evp.h>

#endif
