#include "engine/model/guard.h"

#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string>

#include "engine/base/status.h"

namespace tome {

absl::Status StatusOfException() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("out of memory");
  } catch (const c10::OutOfMemoryError& error) {
    return ResourceExhausted("out of device memory: {}", error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (message.find("DefaultCPUAllocator") != std::string::npos)
      return ResourceExhausted("out of memory: {}", message);
    return Internal("libtorch: {}", message);
  } catch (const std::exception& error) {
    return Internal("{}", error.what());
  } catch (...) {
    return Internal("an exception of an unknown type");
  }
}

}  // namespace tome
