# Small simulated tables, rounded so that the files hold exactly what R fitted
source("common.R")
set.seed(20)

# Unbalanced factorial with a covariate: 14 groups, cells of 0 to several rows in a group
n <- 150
g <- sample(sprintf("g%02d", 1:14), n, TRUE, prob = 1:14)
a <- factor(sample(c("low", "mid", "high"), n, TRUE, c(.5, .3, .2)), c("low", "mid", "high"))
b <- factor(sample(c("no", "yes"), n, TRUE, c(.65, .35)), c("no", "yes"))
x <- round(rnorm(n, 3 + as.integer(a)), 2)
u <- rnorm(14, 0, 1.2)[as.integer(factor(g))]
y <- round(10 + c(0, 1, 2.5)[a] + 0.8 * (b == "yes") + 0.4 * x + 0.9 * (a == "high" & b == "yes") + 0.3 * x * (b == "yes") + u + rnorm(n), 3)
factorial <- data.frame(y, z = round(exp(y / 6), 4), a, b, x, g = factor(g), w = round(runif(n, 0.3, 2.5), 2))
write_data("factorial", factorial)
# the same without one of the six cells
write_data("empty_cell", droplevels(factorial[!(a == "high" & b == "yes"), ]))

# Subjects x items with slopes, a third of the cells lost; `age` and `arm` of the subject
subjects <- 24; items <- 15
d <- expand.grid(item = 1:items, subject = 1:subjects)
arm <- rep(c("control", "drug"), length.out = subjects); age <- round(rnorm(subjects), 2)
cond <- c("A", "B", "C")[(d$item + d$subject) %% 3 + 1]
slope <- cbind(rnorm(subjects, 0, 0.9), rnorm(subjects, 0, 0.5), rnorm(subjects, 0, 0.4))
d$arm <- factor(arm[d$subject]); d$age <- age[d$subject]; d$cond <- factor(cond); d$time <- round(runif(nrow(d), -1, 1), 2)
d$y <- round(5 + 0.6 * (d$cond == "B") + 0.9 * (d$cond == "C") + 0.5 * (d$arm == "drug") + 0.4 * d$time + 0.3 * d$age +
  slope[d$subject, 1] + slope[d$subject, 2] * d$time + slope[d$subject, 3] * (d$cond == "C") +
  rnorm(items, 0, 0.7)[d$item] + rnorm(items, 0, 0.4)[d$item] * d$time + rnorm(nrow(d), 0, 0.8), 3)
d$subject <- factor(sprintf("s%02d", d$subject)); d$item <- factor(sprintf("i%02d", d$item))
d$w <- round(runif(nrow(d), 0.4, 2), 2)
d <- d[sort(sample(nrow(d), round(0.68 * nrow(d)))), c("y", "subject", "item", "arm", "age", "cond", "time", "w")]
write_data("crossed", d)

# Classes in schools, rated by raters who cross the schools
d <- expand.grid(pupil = 1:5, class = 1:3, school = 1:7)
d <- d[sort(sample(nrow(d), 88)), ]
d$rater <- sample(1:6, nrow(d), TRUE)
d$method <- factor(c("old", "new")[(d$class + d$school) %% 2 + 1], c("old", "new")); d$x <- round(rnorm(nrow(d)), 2)
class <- interaction(d$school, d$class, drop = TRUE)
d$y <- round(50 + 2 * (d$method == "new") + 1.1 * d$x + rnorm(7, 0, 2)[d$school] + rnorm(nlevels(class), 0, 1.5)[class] +
  rnorm(6, 0, 1.2)[d$rater] + rnorm(nrow(d), 0, 2), 2)
schools <- data.frame(y = d$y, school = factor(paste0("S", d$school)), class = factor(paste0("c", d$class)),
                      rater = factor(paste0("r", d$rater)), method = d$method, x = d$x)
write_data("schools", schools)
