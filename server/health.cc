#include "server/health.h"

namespace glowworm {

void Health::AddListener(grpc::HealthCheckServiceInterface* listener) {
  MutexLock lock(&mutex_);
  listeners_.push_back(listener);
  for (const auto& [service, serving] : serving_) listener->SetServingStatus(service, serving);
}

void Health::SetModel(const std::string& model, bool serving) {
  if (model != kLiveness && model != kReadiness && model != kStartup) Set(model, serving);
}

void Health::SetReady(bool ready) {
  Set("", ready);
  Set(kReadiness, ready);
}

void Health::SetLive(bool live) {
  MutexLock lock(&mutex_);
  SetLocked(kLiveness, live);
}

void Health::Shutdown() {
  MutexLock lock(&mutex_);
  shut_down_ = true;
  for (const auto& [service, serving] : serving_) {
    if (service != kLiveness && !service.empty()) SetLocked(service, false);
  }
  SetLocked("", false);  // who hears it of the whole finds it true of every part
}

void Health::Set(const std::string& service, bool serving) {
  MutexLock lock(&mutex_);
  if (!shut_down_) SetLocked(service, serving);
}

void Health::SetLocked(const std::string& service, bool serving) {
  serving_[service] = serving;
  for (grpc::HealthCheckServiceInterface* listener : listeners_) listener->SetServingStatus(service, serving);
}

}  // namespace glowworm
