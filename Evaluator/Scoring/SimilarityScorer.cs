using AiAspire.Evaluator.Targets;

namespace AiAspire.Evaluator.Scoring;

/// <summary>
/// <c>similarity</c>: the cosine between the embeddings of the reply and of <c>reference</c> reaches <c>threshold</c>
/// (0..1). The same meaning in other words passes; what counts as near depends on the embedding model.
/// </summary>
internal sealed class SimilarityScorer(string reference, double threshold, string? model) : IScorer
{
    public static ScorerRegistration Registration { get; } = new("similarity", static entry =>
        new SimilarityScorer(entry.Text("reference"), entry.Number("threshold", 0, 1), entry.OptionalText("model")));

    public string Type => "similarity";

    public async ValueTask<ScorerResult> ScoreAsync(ScoringContext context, CancellationToken cancellationToken)
    {
        var embeddingModel = model ?? context.EmbeddingModel
            ?? throw new ModelCallException("no embedding model is named: set defaults.embedding_model in the suite");
        if (string.IsNullOrWhiteSpace(context.Reply.Content))
            return ScorerResult.Of(Type, pass: false, "the reply is empty");

        var answer = await context.Models.EmbedAsync(embeddingModel, [context.Reply.Content, reference], cancellationToken);
        var cosine = Cosine(answer.Vectors[0], answer.Vectors[1]);
        return ScorerResult.Of(Type, cosine >= threshold, cosine, $"similarity {cosine:0.00}, at least {threshold:0.00} wanted") with
        {
            CostUsd = answer.CostUsd,
        };
    }

    private static double Cosine(float[] a, float[] b)
    {
        if (a.Length != b.Length)
            throw new ModelCallException("the embedding model returned vectors of different lengths");
        double dot = 0, squareA = 0, squareB = 0;
        for (var i = 0; i < a.Length; i++)
        {
            dot += (double)a[i] * b[i];
            squareA += (double)a[i] * a[i];
            squareB += (double)b[i] * b[i];
        }

        return squareA > 0 && squareB > 0 ? dot / Math.Sqrt(squareA * squareB) : 0;
    }
}
