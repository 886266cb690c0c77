namespace AiAspire.Evaluator.Targets;

/// <summary>Decides whom the command line evaluates.</summary>
internal static class TargetFinder
{
    /// <param name="url">From the command line; wins.</param>
    /// <param name="apiKey">From the command line; wins over environment and run file.</param>
    /// <param name="environment">Reads environment variables.</param>
    /// <param name="startFolders">Where to look for a run file, each with its parents.</param>
    /// <exception cref="TargetException">There is none; says what to do.</exception>
    public static TargetAddress Find(
        string? url, string? apiKey, Func<string, string?> environment, params ReadOnlySpan<string> startFolders)
    {
        var key = NotEmpty(apiKey) ?? NotEmpty(environment("AIASPIRE_API_KEY"));
        if (url is not null)
            return TargetAddress.Of(url, key ?? NotEmpty(environment("OPENAI_API_KEY")));
        if (RunFile.Find(startFolders) is { } run)
            // Not OPENAI_API_KEY: a company's key is no business of the local application.
            return TargetAddress.Of(run.Api, key ?? run.DevelopmentKey);
        throw new TargetException(
            "No running application was found (.aiaspire/run.json in this folder or above): start it with "
            + "'dotnet run --project AppHost', or name another target with --url.");
    }

    private static string? NotEmpty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text;
}
