#include "model/train/conditioner.h"
