using AiAspire.Evaluator.Targets;

namespace AiAspire.Unit.Evaluator;

public sealed class TargetFinderTests : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("aiaspire-evaluator-");

    public void Dispose() => _root.Delete(recursive: true);

    [Fact]
    public void Finds_the_run_file_above_a_folder()
    {
        WriteRunFile("""{"api":"http://127.0.0.1:5123","developmentKey":"sk-dev-1","more":[]}""");
        var deep = _root.CreateSubdirectory("a/b/c").FullName;

        var target = TargetFinder.Find(null, null, _ => null, deep);

        Assert.Equal("http://127.0.0.1:5123/v1/", target.BaseAddress.ToString());
        Assert.Equal("sk-dev-1", target.ApiKey);
    }

    [Fact]
    public void The_first_folder_wins_and_the_second_is_tried()
    {
        WriteRunFile("""{"api":"http://127.0.0.1:5123"}""");
        var elsewhere = Directory.CreateTempSubdirectory("aiaspire-evaluator-");

        Assert.Equal(5123, TargetFinder.Find(null, null, _ => null, elsewhere.FullName, _root.FullName).BaseAddress.Port);
        elsewhere.Delete();
    }

    [Theory]
    [InlineData("https://h:1", "https://h:1/v1/")]
    [InlineData("https://h:1/", "https://h:1/v1/")]
    [InlineData("https://h:1/v1", "https://h:1/v1/")]
    [InlineData("https://h/openai/v1/", "https://h/openai/v1/")]
    public void An_address_without_a_path_means_v1(string url, string expected) =>
        Assert.Equal(expected, TargetFinder.Find(url, null, _ => null).BaseAddress.ToString());

    [Fact]
    public void Keys_come_from_the_command_line_then_the_environment_then_the_run_file()
    {
        WriteRunFile("""{"api":"http://127.0.0.1:5123","developmentKey":"sk-dev-1"}""");
        string? Environment(string name) => name switch { "OPENAI_API_KEY" => "sk-company", _ => null };

        Assert.Equal("sk-own", TargetFinder.Find("https://h", "sk-own", Environment).ApiKey);
        Assert.Equal("sk-company", TargetFinder.Find("https://h", null, Environment).ApiKey);
        // The company's key does not go to the local application.
        Assert.Equal("sk-dev-1", TargetFinder.Find(null, null, Environment, _root.FullName).ApiKey);
        Assert.Equal("sk-x", TargetFinder.Find(null, null, name => name == "AIASPIRE_API_KEY" ? "sk-x" : null, _root.FullName).ApiKey);
    }

    [Fact]
    public void Without_a_target_one_sentence_says_what_to_do()
    {
        var problem = Assert.Throws<TargetException>(() => TargetFinder.Find(null, null, _ => null, _root.FullName));
        Assert.Contains("dotnet run --project AppHost", problem.Message, StringComparison.Ordinal);

        Assert.Throws<TargetException>(() => TargetFinder.Find("ftp://h", null, _ => null));
        WriteRunFile("{half");
        Assert.Contains("run.json", Assert.Throws<TargetException>(() => TargetFinder.Find(null, null, _ => null, _root.FullName)).Message, StringComparison.Ordinal);
    }

    private void WriteRunFile(string json)
    {
        _root.CreateSubdirectory(".aiaspire");
        File.WriteAllText(Path.Combine(_root.FullName, ".aiaspire", "run.json"), json);
    }
}
