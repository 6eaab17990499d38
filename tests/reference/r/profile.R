# Profile likelihood limits by root finding on lme4's deviance function: no splines between points
source("common.R")

# Standard deviations and correlations of each term, in lme4's order, to theta at a given sigma
to_theta <- function(v, sizes, sigma) {
  theta <- numeric(); at <- 0
  for (k in sizes) {
    sd <- v[at + 1] / sigma
    theta <- c(theta, if (k == 1) sd else c(sd, v[at + 3] * v[at + 2] / sigma, sqrt(max(0, 1 - v[at + 3]^2)) * v[at + 2] / sigma))
    at <- at + if (k == 1) 1 else 3
  }
  theta
}
smallest <- function(fn, start, lower, upper) {
  if (!length(start)) return(list(value = fn(start), at = start))
  best <- nlminb(start, fn, lower = lower, upper = upper, control = list(rel.tol = 1e-14, x.tol = 1e-11, iter.max = 2000, eval.max = 4000))
  inside <- pmin(pmax(best$par, lower), upper)
  again <- nlminb(inside, fn, lower = lower, upper = upper, control = list(rel.tol = 1e-15, x.tol = 1e-12))
  if (again$objective < best$objective) best <- again
  list(value = best$objective, at = best$par)
}
profile_limits <- function(f, name, weights = NULL, level = 0.95) {
  m <- fit(f, read_data(name), FALSE, weights)
  call <- m@call; call$devFunOnly <- TRUE
  dev <- eval(call, globalenv()); state <- environment(dev)
  n <- nobs(m); log_w <- if (is.null(weights)) 0 else sum(log(eval(read_data(name))[[weights]]))
  full <- function(v, sigma) {
    dev(to_theta(v, sizes, sigma))
    state$pp$ldL2() + (state$resp$wrss() + state$pp$sqrL(1)) / sigma^2 + n * log(2 * pi * sigma^2) - log_w
  }
  components <- VarCorr(m); sizes <- lengths(getME(m, "cnms")); stopifnot(sizes <= 2)
  v0 <- unlist(lapply(components, function(c) c(attr(c, "stddev"), if (nrow(c) == 2) attr(c, "correlation")[2, 1])), use.names = FALSE)
  correlation <- unlist(lapply(sizes, function(k) c(rep(FALSE, k), if (k == 2) TRUE)), use.names = FALSE)
  v0[correlation & !is.finite(v0)] <- 0
  names <- unlist(lapply(seq_along(sizes), function(i) { t <- getME(m, "cnms")[[i]]; g <- names(sizes)[i]
    c(paste0(g, ":", t), if (sizes[i] == 2) paste0(g, ":", t[1], ":", t[2])) }))
  least <- -2 * as.numeric(logLik(m)); cut <- qchisq(level, 1); sigma0 <- sigma(m)
  stopifnot(abs(full(v0, sigma0) - least) < 1e-5)
  lower <- c(ifelse(correlation, -1, 0), 1e-3 * sigma0); upper <- c(ifelse(correlation, 1, Inf), Inf)
  all0 <- c(v0, sigma0)
  off_zero <- c(ifelse(correlation, v0, pmax(v0, 0.05 * sigma0)), sigma0)  # zero is stationary
  limits <- function(fn, x0, step, low, high, start) {       # fn(x, start) -> value, at
    vapply(c(-1, 1), function(side) {
      x <- x0; inner <- x0; from <- start; wall <- if (side < 0) low else high
      excess <- function(x) { a <- fn(x, from); b <- fn(x, start); if (b$value < a$value) a <- b; from <<- a$at; a$value - least - cut }
      repeat {
        inner <- x; x <- x + side * step; step <- 1.4 * step
        if (side * (x - wall) >= 0) { if (excess(wall) <= 0) return(wall); x <- wall; break }
        if (excess(x) > 0) break
      }
      uniroot(excess, sort(c(inner, x)), tol = 1e-9 * max(1e-2, abs(x)))$root
    }, 0)
  }
  out <- list()
  for (i in seq_along(all0)) {
    fixed <- function(x, start) smallest(function(z) { p <- all0; p[-i] <- z; p[i] <- x; full(p[-length(p)], p[length(p)]) }, start, lower[-i], upper[-i])
    spread <- if (i <= length(v0) && correlation[i]) 0.1 else max(0.1 * all0[i], 0.02 * sigma0)
    out[[c(names, "sigma")[i]]] <- limits(fixed, all0[i], spread, lower[i], upper[i], off_zero[-i])
  }
  theta0 <- pmax(getME(m, "theta"), ifelse(getME(m, "lower") == 0, 0.05, -Inf)); bound <- getME(m, "lower"); b <- fixef(m); se <- sqrt(diag(as.matrix(vcov(m))))
  for (j in seq_along(b)) {
    fixed <- function(x, start) smallest(function(theta) { dev(theta)
      square <- state$resp$wrss() + state$pp$sqrL(1) + (x - state$pp$beta(1)[j])^2 / state$pp$unsc()[j, j]
      state$pp$ldL2() + n * (1 + log(2 * pi * square / n)) - log_w }, start, bound, rep(Inf, length(bound)))
    out[[names(b)[j]]] <- limits(fixed, b[[j]], 1.7 * se[j], -Inf, Inf, theta0)
  }
  list(basics = basics(m), estimates = as.list(setNames(all0, c(names, "sigma"))), level = level, limits = out)
}
cases <- list()
add <- function(id, name, f, weights = NULL, level = 0.95) {
  cases[[id]] <<- case(name, f, profile_limits(f, name, weights, level), reml = FALSE, weights = weights); cat(id, "\n")
}
add("crossed_slopes", "crossed", y ~ cond + time + (time | subject) + (time | item))
add("crossed_mixed", "crossed", y ~ arm + time + (time | subject) + (1 | item), level = 0.9)
add("crossed_diagonal", "crossed", y ~ cond + time + (time || subject) + (1 | item))
add("crossed_weights", "crossed", y ~ cond + time + (1 | subject) + (1 | item), weights = "w")
add("schools", "schools", y ~ method + x + (1 | school/class) + (1 | rater))
add("schools_slope", "schools", y ~ method + x + (x | school) + (1 | rater))
add("dyestuff2", "dyestuff2", Yield ~ 1 + (1 | Batch))
add("crossed_zero", "crossed", y ~ cond + (1 | item) + (0 + age | item))
add("sleepstudy_99", "sleepstudy", Reaction ~ Days + (Days | Subject), level = 0.99)
add("oxboys", "oxboys", height ~ age + (age | Subject))
store("profile", cases, "lme4", list(limits = "maximum likelihood; a limit of 0, -1 or 1 is the edge of the parameter's range; crossed_zero and the like reach it"))
