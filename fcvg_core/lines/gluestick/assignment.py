"""From similarities to one-to-one matches of points or line segments (GlueStick's heads;
docs/methods/lines.md, Assignment)."""

import torch


def log_double_softmax(similarity: torch.Tensor, bin_score: torch.Tensor) -> torch.Tensor:
    """Log assignment of a similarity matrix (m, n) with a "no match" bin on either side.

    Args:
        bin_score: 0-d, the similarity of "no match".

    Returns:
        (m+1, n+1): inside, the mean of the log-softmax over a row and over a column, each with the bin appended; last
        column and row, the log probability of the bin; the corner is 0.
    """
    m, n = similarity.shape
    rows = torch.cat([similarity, bin_score.expand(m, 1)], dim=1).log_softmax(dim=1)
    columns = torch.cat([similarity, bin_score.expand(1, n)], dim=0).log_softmax(dim=0)
    result = similarity.new_zeros(m + 1, n + 1)
    result[:m, :n] = (rows[:, :n] + columns[:m]) / 2
    result[:m, n] = rows[:, n]
    result[m, :n] = columns[m]
    return result


def mutual_matches(
    log_assignment: torch.Tensor, threshold: float
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Pairs that are each other's best, from a log assignment (m+1, n+1) with m, n > 0.

    Returns:
        Partners int64 (m,) and (n,), -1 where there is none or its score is not above ``threshold``; scores (m,) and
        (n,), the probability of each mutual pair, not cut by the threshold, and 0 for the rest.
    """
    inner = log_assignment[:-1, :-1]
    best, values = inner.argmax(dim=1), inner.amax(dim=1)
    best_back = inner.argmax(dim=0)
    mutual = best_back[best] == torch.arange(len(best), device=best.device)
    mutual_back = best[best_back] == torch.arange(len(best_back), device=best.device)
    scores = torch.where(mutual, values.exp(), 0)
    scores_back = torch.where(mutual_back, scores[best_back], 0)
    valid = mutual & (scores > threshold)
    valid_back = mutual_back & valid[best_back]
    return (torch.where(valid, best, -1), torch.where(valid_back, best_back, -1)), (scores, scores_back)


def orientation_free_scores(
    similarity: torch.Tensor, first_junctions: torch.Tensor, last_junctions: torch.Tensor
) -> torch.Tensor:
    """Similarity of line segments from that of their end junctions, whichever way round the segments run.

    Args:
        similarity: (m, n) of the nodes of two pictures.
        first_junctions, last_junctions: int64 (M, 2) and (N, 2) node indices of the segments' ends.

    Returns:
        (M, N): the mean of the two ends' similarity in the better of the two pairings.
    """
    ends = similarity[first_junctions[:, :, None, None], last_junctions[None, None]]  # [M, 2, N, 2]
    straight = ends[:, 0, :, 0] + ends[:, 1, :, 1]
    crossed = ends[:, 0, :, 1] + ends[:, 1, :, 0]
    return 0.5 * torch.maximum(straight, crossed)
